// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, HIGHEST_LEVEL = 2 };

void put(struct buf *b, const void *data, size_t n)
{
    if (b->failed)
        return;
    if (b->cap - b->len < n) {
        size_t cap = b->cap ? b->cap : 512;
        while (cap - b->len < n)
            cap *= 2;
        uint8_t *p = realloc(b->p, cap);
        if (!p) {
            b->failed = true;
            return;
        }
        b->p = p;
        b->cap = cap;
    }
    if (n)
        memcpy(b->p + b->len, data, n);
    b->len += n;
}

void put_uint(struct buf *b, uint64_t v, int bytes)
{
    uint8_t be[8];
    for (int i = bytes; i-- > 0; v >>= 8)
        be[i] = (uint8_t)v;
    put(b, be, (size_t)bytes);
}

void put_bytes(struct buf *b, const void *data, size_t n)
{
    put_uint(b, n, 4);
    put(b, data, n);
}

void put_str(struct buf *b, const char *str)
{
    put_bytes(b, str ? str : "", str ? strnlen(str, MAX_STRING) : 0);
}

void start_frame(struct buf *b, enum message type)
{
    const uint8_t head[FRAME_HEADER] = { VERSION, (uint8_t)type };
    put(b, head, sizeof head);
}

void end_frame(struct buf *b, size_t extra)
{
    if (b->failed)
        return;
    size_t n = b->len - FRAME_HEADER + extra;
    for (int i = 0; i < 4; i++)
        b->p[4 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* Returns the next n bytes, or NULL, and no more from then on. */
static const uint8_t *get(struct reply *r, size_t n)
{
    if (r->bad || (size_t)(r->end - r->p) < n) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    return r->p - n;
}

uint32_t get_uint(struct reply *r, int bytes)
{
    uint32_t v = 0;
    const uint8_t *p = get(r, (size_t)bytes);
    for (int i = 0; p && i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

struct text get_text(struct reply *r, size_t limit)
{
    size_t n = get_uint(r, 4);
    const uint8_t *p = n <= limit ? get(r, n) : NULL;
    if (!p || memchr(p, '\0', n)) {
        r->bad = true;
        return (struct text){ .p = "" };
    }
    return (struct text){ .p = (const char *)p, .len = (int)n };
}

bool parse_frame_header(const uint8_t head[FRAME_HEADER], struct reply *r, size_t *length)
{
    struct reply rest = { .p = head + 4, .end = head + FRAME_HEADER };
    *r = (struct reply){ .type = head[1] };
    *length = get_uint(&rest, 4);
    return head[0] == VERSION && !head[2] && !head[3] &&
           *length <= (size_t)(r->type == MSG_LIST ? MAX_LIST : MAX_CONTROL);
}

bool parse_notes(struct reply *r, void (*show)(void *to, int level, struct text text), void *to)
{
    const struct reply notes = *r;
    for (int pass = 0; pass < 2; pass++) {
        *r = notes;
        uint32_t n = get_uint(r, 2);
        if (n > MAX_NOTES)
            r->bad = true;
        for (; n > 0 && !r->bad; n--) {
            uint32_t level = get_uint(r, 1);
            struct text text = get_text(r, MAX_STRING);
            if (level > HIGHEST_LEVEL)
                r->bad = true;
            else if (pass == 1)
                show(to, (int)level, text);
        }
        if (r->p != r->end)
            r->bad = true;
        if (r->bad)
            return false;
    }
    return true;
}

enum verdict parse_verdict(struct reply *r)
{
    uint32_t decision = get_uint(r, 1);
    if (decision > ASSURED)
        r->bad = true;
    /* What cannot be read permits nothing, and asks for nothing more. */
    return r->bad ? NOT_MANAGED : (enum verdict)decision;
}

struct list parse_list(struct reply *r)
{
    struct list l = { .element = get_uint(r, 4) };
    uint32_t decision = get_uint(r, 1);
    l.name = get_text(r, MAX_NAME);
    l.nsignatures = get_uint(r, 4);
    if (decision > LIST_REFUSED || (l.name.len > 0) != (decision == LIST_NAMED) ||
        memchr(l.name.p, '/', (size_t)l.name.len) ||
        l.nsignatures > (size_t)(r->end - r->p) / 8) /* the least that each takes */
        r->bad = true;
    l.decision = r->bad ? NO_LIST : (enum list_decision)decision;
    if (r->bad)
        l.nsignatures = 0;
    return l;
}

struct file_signature next_signature(struct reply *r, const struct file_signature *previous)
{
    struct file_signature s = { .file = get_uint(r, 4) };
    s.len = get_uint(r, 4);
    s.p = s.len <= MAX_FILE_SIGNATURE ? get(r, s.len) : NULL;
    if (!s.p || (previous && s.file <= previous->file)) {
        r->bad = true;
        s.len = 0;
    }
    return s;
}
