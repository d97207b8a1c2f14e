/* How the load generator counts durations, and where it keeps when each message was due and sent.
 *
 * The buckets are those of reactor/load/buckets.py, the rings those of starts.py: change both together.  Functions
 * only, no state.
 */
#ifndef REACTOR_DRIVE_MEASURE_H
#define REACTOR_DRIVE_MEASURE_H

#include "drive.h"

static inline size_t bucket_of(uint64_t value)
{
    const unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    const unsigned shift = bits <= 11 ? 0 : bits - 11;

    return shift > 31 ? DRIVE_BUCKETS - 1 : shift * 1024 + (value >> shift);
}

static inline void record(drive_record *r, int64_t duration)
{
    const uint64_t value = duration < 0 ? 0 : (uint64_t)duration;

    r->counts[bucket_of(value)]++;
    r->count++;
    r->sum += value;
    if (value < r->least)
        r->least = value;
    if (value > r->most)
        r->most = value;
}

static inline int64_t *start_of(const drive *d, size_t id, uint64_t number)
{
    return d->starts + (id * d->ring + (number & (d->ring - 1))) * 2;
}

#endif
