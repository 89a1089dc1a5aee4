/* The AlgorithmIdentifier at the front of AUTH data: what is accepted is one that we can write. */
#include <stdlib.h>

#include "crypto/sigalg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct crypto_sigalg alg, again;
	char buf[200];
	struct text why = TEXT_OF(buf);
	struct bytes der;

	if (crypto_sigalg_read(bytes_of(data, n), &why, &alg) != ST_OK)
		return 0;
	der = crypto_sigalg_der(alg);
	if (der.n == 0 || crypto_sigalg_read(der, &why, &again) != ST_OK ||
	    again.scheme != alg.scheme || again.hash != alg.hash)
		abort();
	return 0;
}
