// SPDX-License-Identifier: Apache-2.0
/*
 * wait decides what rpm may go on doing while the daemon makes the list of a
 * package: a state machine without memory of its own, rpm or sockets.
 */
#ifndef DIGESTD_WAIT_H
#define DIGESTD_WAIT_H

enum wait_state {
    WAIT_NONE,   /* no answer is due */
    WAIT_STRICT, /* the answer may refuse the package: nothing may be written before it */
    WAIT_LATE,   /* no answer can refuse the package: files may be put off */
    WAIT_STATES
};

enum wait_event {
    ON_STEP,    /* a scriptlet, another package, the end: anything but a file */
    ON_OTHER,   /* a directory, link or device is about to be made */
    ON_SKIPPED, /* rpm looks at something that gets no label */
    ON_FILE,    /* a new file with a single name is written, but not yet named */
    ON_SHARED,  /* a file is written that has several names or existed before */
    ON_NAMED,   /* a file has been given its name */
    WAIT_EVENTS
};

enum wait_action {
    GO_ON,
    PUT_OFF, /* keep the file open and label it later; if that is impossible, ask */
    ASK,     /* wait for the answer */
};

enum wait_action wait_step(enum wait_state state, enum wait_event event);

#endif
