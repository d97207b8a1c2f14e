/* The packer; read pack.h first for what it is and what it promises.
 *
 * THE INVARIANT of the loop: `taken <= total` bytes of the payloads have been copied and `written <= room` bytes of
 * the result.  As in scan.c, room is asked for by subtraction, which cannot wrap around.
 */
#include "pack.h"

#include <string.h>

/* Write a length to field[0 .. 9]; returns how many bytes it took. */
static size_t write_length(const pack_layout *layout, uint64_t value, unsigned char field[10])
{
    size_t used = 0;

    if (layout->size == 0) {
        for (; value >= 0x80; value >>= 7)
            field[used++] = (unsigned char)(value | 0x80);
        field[used++] = (unsigned char)value;
        return used;
    }
    for (size_t i = 0; i < layout->size; i++, value >>= 8)
        field[layout->little ? i : layout->size - 1 - i] = (unsigned char)value;
    return layout->size;
}

size_t pack_lengths(const pack_layout *layout, const char *payloads, size_t total, const uint64_t *sizes, size_t count,
                    char *out, size_t room)
{
    size_t taken = 0, written = 0;
    unsigned char field[10];

    if (layout->size > 8)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] > total - taken)
            return 0;
        const size_t size = (size_t)sizes[i];
        const size_t header = write_length(layout, sizes[i] + layout->bias, field);

        /* Two questions instead of one sum: header + size could wrap around. */
        if (header > room - written || size > room - written - header)
            return 0;
        memcpy(out + written, field, header);
        if (size != 0) /* memcpy from a null pointer is undefined even for no bytes */
            memcpy(out + written + header, payloads + taken, size);
        written += header + size;
        taken += size;
    }
    return taken == total ? written : 0;
}
