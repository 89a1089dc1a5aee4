/*
 * site.h - what a site keeps of the shortcuts that were suggested to it.  Only partner.c, path.c
 * and view.c include it.
 */
#pragma once

#include "mesh/internal.h"

struct site {
	struct network *net;
};
