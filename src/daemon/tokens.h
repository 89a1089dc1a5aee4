/*
 * tokens.h - the file with the secret for QCD tokens (RFC 6290), in the state directory.
 *
 * It is root's (or that of whoever starts us), who alone may read it; the signer reads and fills
 * it, and this process only opens it, before it gives up the right to, and never looks inside.
 */
#pragma once

#include "daemon/host.h"

/* Warns when there will be no tokens, or others than before. */
void tokens_open(struct host *h);
