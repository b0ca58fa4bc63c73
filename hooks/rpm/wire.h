// SPDX-License-Identifier: Apache-2.0
/*
 * wire holds the frames of the hook protocol (docs/protocol.md, version 1):
 * it builds those that the plugin sends and reads those that the daemon sends.
 * Bytes in, bytes out: it knows neither librpm nor sockets, so that it can be
 * tested and fuzzed alone. Package hooks/wire is its counterpart in Go.
 */
#ifndef DIGESTD_WIRE_H
#define DIGESTD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message {
    MSG_BEGIN = 0x01, MSG_HEADER, MSG_INSTALLED, MSG_FAILED, MSG_REMOVED, MSG_END,
    MSG_VERDICT = 0x81, MSG_LIST, MSG_ACK,
    MSG_ERROR = 0xff,
};

/* The decision in a VERDICT. */
enum verdict { PROCEED, REFUSE, NOT_MANAGED, ASSURED };

/* The decision in a LIST. */
enum list_decision { LIST_NAMED, NO_LIST, LIST_REFUSED };

/* Limits, in bytes unless their name says otherwise. */
enum {
    FRAME_HEADER = 8,
    MAX_CONTROL = 64 << 10, /* payload of every message but the next three */
    MAX_BEGIN = 16 << 20,
    MAX_HEADER = 64 << 20,
    MAX_LIST = 8 << 20,
    MAX_SIGNATURES = 1 << 20, /* all signatures in one HEADER */
    MAX_STRING = 4096,
    MAX_NAME = 255,
    MAX_ELEMENTS = 200000, /* elements of one transaction */
    MAX_NOTES = 256,       /* messages for people in one reply */
    MAX_FILE_SIGNATURE = 1024,
};

/* ---- what is sent ---- */

/* A buffer that grows. After an allocation fails, failed stays set and nothing
 * more is stored. Zero it to start; free p at the end. */
struct buf {
    uint8_t *p;
    size_t len, cap;
    bool failed;
};

void put(struct buf *b, const void *data, size_t n);
/* Appends the low bytes of v, at most 8, in big-endian order. */
void put_uint(struct buf *b, uint64_t v, int bytes);
/* Appends a length of four bytes, and the bytes. */
void put_bytes(struct buf *b, const void *data, size_t n);
/* Appends a string like put_bytes. NULL counts as empty; a string beyond
 * MAX_STRING is cut: no package has such a name, and the daemon reports it. */
void put_str(struct buf *b, const char *str);
void start_frame(struct buf *b, enum message type);
/* Stores the length of a frame whose payload follows its header in b, and of
 * the extra bytes that are sent after b. */
void end_frame(struct buf *b, size_t extra);

/* ---- what was received ---- */

/* The rest of a payload. Once bad is set, every read returns zero or nothing. */
struct reply {
    enum message type;
    const uint8_t *p, *end;
    bool bad;
};

/* A string in a payload, without a NUL at its end. */
struct text {
    const char *p;
    int len;
};

/* Reads the header of a frame into r->type and *length, the length of its
 * payload. It returns false if the header is none or the payload too long. */
bool parse_frame_header(const uint8_t head[FRAME_HEADER], struct reply *r, size_t *length);

uint32_t get_uint(struct reply *r, int bytes);
/* Reads a string of at most limit bytes, which holds no NUL. */
struct text get_text(struct reply *r, size_t limit);

/* Reads messages for people up to the end of the payload and, once all of them
 * proved sound, passes each to show with its level: 0 information, 1 warning,
 * 2 error. It returns false, and has shown nothing, if the payload is unsound. */
bool parse_notes(struct reply *r, void (*show)(void *to, int level, struct text text), void *to);

/* Reads the decision of a VERDICT; notes follow. */
enum verdict parse_verdict(struct reply *r);

/* The signature of one file, which lies in the payload. */
struct file_signature {
    uint32_t file; /* index of the file in the header's arrays */
    const uint8_t *p;
    uint32_t len;
};

struct list {
    uint32_t element;
    enum list_decision decision;
    struct text name;      /* empty unless the decision is LIST_NAMED */
    uint32_t nsignatures;  /* notes follow the signatures */
};

/* Reads a LIST up to its signatures. Afterwards next_signature must be called
 * nsignatures times. */
struct list parse_list(struct reply *r);
/* Reads one signature; previous is NULL for the first. Indexes must rise. */
struct file_signature next_signature(struct reply *r, const struct file_signature *previous);

#endif
