/*
 * Shutting a process in, for good: seccomp decides which system calls there are, Landlock which files. Both only ever take rights
 * away. Called once, by a process's only thread (Landlock and seccomp hold for the calling thread and those it makes).
 *
 * -EOPNOTSUPP: this kernel lacks Landlock or seccomp; what it has is in force. Another -errno: something went wrong.
 */
#ifndef PENFOLD_GATE_SANDBOX_H
#define PENFOLD_GATE_SANDBOX_H

#include "base/base.h"

/* No file, no new socket (but accepted ones), no connection, no other program, no other process. What is not allowed kills the process. */
MUST_CHECK int gate_sandbox_gate(void);
/* Files below `data_dir` only (of others it may learn that they exist); no new socket but stream pairs and accepted ones; no other program,
 * no other process; threads are fine. */
MUST_CHECK int gate_sandbox_core(const char *data_dir);

#endif
