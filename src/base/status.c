#include "base/status.h"

const char *status_name(enum status st)
{
	switch (st) {
	case ST_OK: return "ok";
	case ST_DROP: return "drop";
	case ST_REFUSE: return "refuse";
	case ST_KILL: return "kill";
	case ST_NOMEM: return "nomem";
	case ST_AGAIN: return "again";
	case ST_INVAL: return "inval";
	case ST_IO: return "io";
	case ST_BUG: return "bug";
	}
	return "unknown";
}
