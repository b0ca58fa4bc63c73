// SPDX-License-Identifier: Apache-2.0
#include "label.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

static const char label_name[] = "security.digest_list";
static const char signature_name[] = "security.ima";

static int set(const struct target *f, const char *name, const void *value, size_t n)
{
    return f->fd >= 0 ? fsetxattr(f->fd, name, value, n, 0) : lsetxattr(f->path, name, value, n, 0);
}

/* Reports whether the file bears the label list already, or none if list is NULL. */
static bool labelled(const struct target *f, const char *list)
{
    char old[MAX_NAME + 2];
    ssize_t n = f->fd >= 0 ? fgetxattr(f->fd, label_name, old, sizeof old)
                           : lgetxattr(f->path, label_name, old, sizeof old);
    if (!list)
        return n < 0 && (errno == ENODATA || errno == EOPNOTSUPP);
    if (n > 0 && old[n - 1] == '\0') /* as other tools write it */
        n--;
    return n >= 0 && (size_t)n == strlen(list) && memcmp(old, list, (size_t)n) == 0;
}

/* Binds a file to list, or to none. Setting a label makes the kernel forget what
 * it knows of the file, so one that stands is left alone. */
static int bind_to(const struct target *f, const char *list)
{
    if (f->fresh ? !list : labelled(f, list))
        return 0;
    if (!list)
        return f->fd >= 0 ? fremovexattr(f->fd, label_name) : lremovexattr(f->path, label_name);
    return set(f, label_name, list, strlen(list));
}

static int mark(const struct element *e, const struct target *f)
{
    if (bind_to(f, e->list) < 0)
        return -1;
    /* A signature that stands is that of the same content, or was made again:
     * it is written without a look. */
    const struct signature *s = element_signature(e, f->file);
    return s ? set(f, signature_name, e->bytes + s->at, s->n) : 0;
}

int label_file(const struct element *e, const struct target *file)
{
    int rc = mark(e, file);
    /* The descriptor may be one that allows no attributes (O_PATH). */
    if (rc < 0 && errno == EBADF && file->fd >= 0 && file->path) {
        struct target by_path = *file;
        by_path.fd = -1;
        rc = mark(e, &by_path);
    }
    return rc;
}
