/*
 * base.h - everything the other modules stand on; one include for all of it.
 */
#pragma once

#include "base/addr.h"
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/secret.h"
#include "base/status.h"
#include "base/text.h"
#include "base/units.h"
