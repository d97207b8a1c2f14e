/* The packer: many payloads, each behind its length, in one call.
 *
 * Python joins the payloads (one loop in C, no copy of ours could be faster) and hands over their sizes; here the
 * headers are put between them.  As in scan.h: no Python object, no allocation, no state.
 */
#ifndef REACTOR_PACK_H
#define REACTOR_PACK_H

#include <stddef.h>
#include <stdint.h>

/* How a length is written: `size` bytes 1 to 8 in big or `little` endian order, or 0 for an unsigned LEB128.
 * What is written is the size of the payload plus `bias`. */
typedef struct {
    size_t size;
    uint64_t bias;
    int little;
} pack_layout;

/* Write `count` frames to out[0 .. room): for each a length and then sizes[i] bytes from `payloads`, which are all
 * of them one behind the other, `total` bytes.  Returns the bytes written, or 0 if the sizes do not add up to
 * `total` or the frames exceed `room`; then what is in `out` means nothing. */
size_t pack_lengths(const pack_layout *layout, const char *payloads, size_t total, const uint64_t *sizes, size_t count,
                    char *out, size_t room);

#endif
