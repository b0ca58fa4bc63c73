// SPDX-License-Identifier: Apache-2.0
#include "wait.h"

enum wait_action wait_step(enum wait_state state, enum wait_event event)
{
    /* A file must not get its name without its label, and no scriptlet may run
     * before the list exists. Directories and links have no label to miss. */
    static const enum wait_action actions[WAIT_STATES][WAIT_EVENTS] = {
        /*               STEP   OTHER  SKIPPED FILE     SHARED NAMED */
        [WAIT_NONE] =   { GO_ON, GO_ON, GO_ON, GO_ON,   GO_ON, GO_ON },
        [WAIT_STRICT] = { ASK,   ASK,   ASK,   ASK,     ASK,   ASK },
        [WAIT_LATE] =   { ASK,   GO_ON, GO_ON, PUT_OFF, ASK,   ASK },
    };
    return actions[state][event];
}
