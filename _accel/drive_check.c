/* What is asked about a drive from outside its loop: whether every index may be trusted, and who is overdue.
 *
 * Apart from the loop because it is portable, and because the first of them is what makes the loop safe.  Read
 * drive.h first.
 */
#include "drive_measure.h"


int drive_is_sound(const drive *d)
{
    if (d->pool_size < DRIVE_OFFSETS || d->largest > d->pool_size - DRIVE_OFFSETS || d->largest > 0x7fffffff)
        return 0;
    for (size_t i = 0; i < DRIVE_SIZES; i++)
        if (d->sizes[i] < 1 || d->sizes[i] > d->largest)
            return 0;
    return d->ring >= 1 && (d->ring & (d->ring - 1)) == 0 && d->window >= 1 && d->window <= d->ring
        && d->in_room >= 1 && d->out_room >= 4096 && d->peer_count >= 1 && d->peer_count <= 0x7fffffff
        && d->turn < d->peer_count && d->framing >= DRIVE_RAW && d->framing <= DRIVE_FRAMED
        && (!d->datagrams || (d->out_room > d->largest + 5 && d->in_room > d->largest + 5));
}

size_t drive_overdue(const drive *d, size_t from, int64_t before)
{
    for (; from < d->peer_count; from++) {
        const drive_peer *peer = &d->peers[from];

        if (peer->state != DRIVE_GONE && peer->expected < peer->queued
            && d->starts[(from * d->ring + (peer->expected & (d->ring - 1))) * 2 + 1] < before)
            break;
    }
    return from;
}

size_t drive_bucket(uint64_t value)
{
    return bucket_of(value);
}
