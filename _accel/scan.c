/* The scanners; read scan.h first for what they are and what they promise.
 *
 * THE INVARIANT of every loop: `at <= size`, at is the start of a frame, and everything before it is in the
 * program.  All questions of room are asked as "is x more than what is left", never as "is at + x beyond the
 * end": the left side cannot overflow, the sum could (a peer chooses x, up to 2^64 - 1).
 */
#include "scan.h"

/* -- the program ------------------------------------------------------------------------------------------- */

/* Write `count` and a letter behind the program, as struct reads them: 4x, 512s. */
static void step(scan_cuts *cuts, size_t count, char letter)
{
    char digits[20];
    size_t used = 0;

    do {
        digits[used++] = (char)('0' + count % 10);
        count /= 10;
    } while (count != 0);
    while (used > 0)
        cuts->program[cuts->length++] = digits[--used];
    cuts->program[cuts->length++] = letter;
}

/* One question a frame covers all of its steps. */
int scan_has_room(const scan_cuts *cuts)
{
    return cuts->length <= SCAN_PROGRAM_SIZE - SCAN_STEP_SIZE;
}

/* Take `count` bytes after skipping `skip`. */
static void cut(scan_cuts *cuts, size_t skip, size_t count)
{
    if (skip != 0)
        step(cuts, skip, 'x');
    step(cuts, count, 's');
    cuts->count++;
}

void scan_on_rest(size_t count, scan_cuts *cuts)
{
    step(cuts, count, 's');
}

static void begin(scan_cuts *cuts)
{
    cuts->length = cuts->count = 0;
}

static void stop(scan_cuts *cuts, size_t end, int verdict, uint64_t value)
{
    cuts->end = end;
    cuts->verdict = verdict;
    cuts->value = value;
}

/* -- a length field of fixed size -------------------------------------------------------------------------- */

/* Read byte by byte: no alignment to care for, and the compiler makes one load and a swap of it where it may. */
static uint64_t read_field(const unsigned char *field, size_t size, int little)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | field[little ? size - 1 - i : i];
    return value;
}

static int is_sound(const scan_layout *layout)
{
    return layout->size >= 1 && layout->size <= 8 && layout->low <= layout->high
        && layout->size <= layout->shortest && layout->offset <= layout->shortest - layout->size
        && layout->strip <= layout->shortest;
}

static void cut_lengths(const scan_layout *layout, const char *data, size_t size, size_t at, scan_cuts *cuts)
{
    const unsigned char *bytes = (const unsigned char *)data;
    const size_t header = layout->offset + layout->size;

    if (!is_sound(layout) || at > size) {
        stop(cuts, at, SCAN_TOO_LONG, 0);
        return;
    }
    while (cuts->count < cuts->most) {
        if (size - at < header) {
            stop(cuts, at, SCAN_MORE, header);
            return;
        }
        const uint64_t value = read_field(bytes + at + layout->offset, layout->size, layout->little);

        if (value < layout->low) {
            stop(cuts, at, SCAN_TOO_SHORT, value);
            return;
        }
        if (value > layout->high || value - layout->low > SIZE_MAX - layout->shortest) {
            stop(cuts, at, SCAN_TOO_LONG, value);
            return;
        }
        const size_t total = layout->shortest + (size_t)(value - layout->low);
        if (total > size - at) {
            stop(cuts, at, SCAN_MORE, total);
            return;
        }
        if (!scan_has_room(cuts)) {
            stop(cuts, at, SCAN_FULL, 0);
            return;
        }
        cut(cuts, layout->strip, total - layout->strip);
        at += total;
    }
    stop(cuts, at, SCAN_FULL, 0);
}

void scan_length(const scan_layout *layout, const char *data, size_t size, size_t at, scan_cuts *cuts)
{
    begin(cuts);
    cut_lengths(layout, data, size, at, cuts);
}

void scan_on_length(const scan_layout *layout, const char *data, size_t size, scan_cuts *cuts)
{
    cut_lengths(layout, data, size, 0, cuts);
}

/* -- varint ------------------------------------------------------------------------------------------------ */

/* Read an unsigned LEB128 from bytes[0 .. left).  Returns how many bytes it has: 0 if its end is not there yet,
 * 11 if it holds more than 64 bits.  Ten groups of seven make 70: the tenth byte may hold only one bit. */
static size_t read_varint(const unsigned char *bytes, size_t left, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < left && i < 10; i++) {
        if (i == 9 && bytes[i] > 1)
            return 11;
        *value |= (uint64_t)(bytes[i] & 0x7f) << (7 * i);
        if (bytes[i] < 0x80)
            return i + 1;
    }
    return 0;
}

static void cut_varints(uint64_t limit, const char *data, size_t size, size_t at, scan_cuts *cuts)
{
    const unsigned char *bytes = (const unsigned char *)data;

    while (cuts->count < cuts->most) {
        if (at >= size) {
            stop(cuts, at, SCAN_MORE, 1);
            return;
        }
        const size_t left = size - at;
        uint64_t value;
        const size_t header = read_varint(bytes + at, left, &value);

        if (header == 0) {
            stop(cuts, at, SCAN_MORE, (uint64_t)left + 1);
            return;
        }
        if (header > 10) {
            stop(cuts, at, SCAN_VARINT_OVERFLOW, 0);
            return;
        }
        if (value > limit || value > SIZE_MAX - header) {
            stop(cuts, at, SCAN_TOO_LONG, value);
            return;
        }
        if (value > left - header) {
            stop(cuts, at, SCAN_MORE, value + header);
            return;
        }
        if (!scan_has_room(cuts)) {
            stop(cuts, at, SCAN_FULL, 0);
            return;
        }
        cut(cuts, header, (size_t)value);
        at += header + (size_t)value;
    }
    stop(cuts, at, SCAN_FULL, 0);
}

void scan_varint(uint64_t limit, const char *data, size_t size, size_t at, scan_cuts *cuts)
{
    begin(cuts);
    cut_varints(limit, data, size, at, cuts);
}

void scan_on_varint(uint64_t limit, const char *data, size_t size, scan_cuts *cuts)
{
    cut_varints(limit, data, size, 0, cuts);
}

/* -- netstrings -------------------------------------------------------------------------------------------- */

/* What a netstring's head turned out to be: a verdict if it is none, else its size in bytes with the colon. */
typedef struct {
    int verdict;
    size_t size;      /* 0: the colon is not there yet */
    uint64_t value;
} head;

/* Read digits and a colon from bytes[0 .. left).  The first fault in reading order counts, so that the verdict is
 * the same however the stream was cut.  `digits` is at most 19: the value cannot overflow before it is refused. */
static head read_head(const unsigned char *bytes, size_t left, unsigned digits)
{
    uint64_t value = 0;

    for (size_t i = 0; i < left; i++) {
        const unsigned char byte = bytes[i];

        if (byte == ':' && i > 0)
            return (head){SCAN_MORE, i + 1, value};
        if (byte < '0' || byte > '9' || (i == 1 && bytes[0] == '0'))
            return (head){SCAN_NOT_A_LENGTH, 0, 0};
        value = value * 10 + (uint64_t)(byte - '0');
        if (i == digits)
            return (head){SCAN_TOO_LONG, 0, value};
    }
    return (head){SCAN_MORE, 0, (uint64_t)left + 1};
}

void scan_netstring(uint64_t limit, unsigned digits, const char *data, size_t size, size_t at, scan_cuts *cuts)
{
    const unsigned char *bytes = (const unsigned char *)data;
    size_t comma = 0; /* the one behind the frame before: it is skipped together with the next head */

    begin(cuts);
    while (cuts->count < cuts->most) {
        if (at >= size) {
            stop(cuts, at, SCAN_MORE, 1);
            return;
        }
        const size_t left = size - at;
        const head found = read_head(bytes + at, left, digits < 18 ? digits : 18);

        if (found.size == 0) {
            stop(cuts, at, found.verdict, found.value);
            return;
        }
        if (found.value > limit) {
            stop(cuts, at, SCAN_TOO_LONG, found.value);
            return;
        }
        if (found.value >= left - found.size) {
            stop(cuts, at, SCAN_MORE, found.value + found.size + 1);
            return;
        }
        const size_t length = (size_t)found.value;
        if (bytes[at + found.size + length] != ',') {
            stop(cuts, at, SCAN_NO_COMMA, found.value);
            return;
        }
        if (!scan_has_room(cuts)) {
            stop(cuts, at, SCAN_FULL, 0);
            return;
        }
        cut(cuts, comma + found.size, length);
        comma = 1;
        at += found.size + length + 1;
    }
    stop(cuts, at, SCAN_FULL, 0);
}
