/* ipsec_mb.h - what the two files about intel-ipsec-mb share. */
#pragma once

#include <intel-ipsec-mb.h>
#include <pthread.h>

#include "crypto/bulk/impl.h"

/* A key for AES-CBC with an HMAC; `mgr` computes what its packets need of it. */
MUST enum status mb_cbc_key_new(IMB_MGR *mgr, const struct alloc *mem, const struct bulk_keys *keys,
				struct bulk_key **ret_key);
/* Completes what this thread has begun. */
void mb_cbc_finish(void);
void mb_cbc_forget(void);
