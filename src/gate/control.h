/* Inside gate: the messages of the supervisor. */
#ifndef PENFOLD_GATE_CONTROL_H
#define PENFOLD_GATE_CONTROL_H

#include "gate/connection.h"

/* Takes what waits on the control descriptor. -EPIPE: the supervisor is gone; -EBADMSG: that was not the supervisor. */
MUST_CHECK int control_read(struct gate *gate);
void control_clear(struct gate *gate);

#endif
