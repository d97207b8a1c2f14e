/* The fuzz target: the scanners and the packer against a naive reference, on the same input.
 *
 * One input is one experiment: its first bytes choose the function and its settings (including settings that the
 * Python side would never pass), the rest is what a peer sent.  The reference reads a byte at a time and does its
 * arithmetic in 128 bits, so it has no bound to get wrong; it shares no line with scan.c.  The data lies in a heap
 * block of exactly its size: AddressSanitizer sees a read of one byte too many.
 *
 * Built and run by run.py, with libFuzzer or with driver.c.
 */
#include "pack.h"
#include "scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 wide;

#define EXPECT(claim) \
    do { \
        if (!(claim)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #claim); \
            abort(); \
        } \
    } while (0)

/* -- the input, taken apart -------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *bytes;
    size_t left;
} input;

static uint8_t take_byte(input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->bytes++;
}

/* A number that is small most of the time, and sometimes anything up to 2^64 - 1. */
static uint64_t take_number(input *in)
{
    const uint8_t kind = take_byte(in);
    uint64_t number = 0;

    if (kind < 224)
        return kind % 32;
    for (int i = 0; i < (kind < 240 ? 2 : 8); i++)
        number = number << 8 | take_byte(in);
    return number;
}

static char *exact_copy(const void *bytes, size_t size)
{
    char *copy = malloc(size != 0 ? size : 1);

    EXPECT(copy != NULL);
    if (size != 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* -- the reference: one frame at a time, byte by byte -------------------------------------------------------- */

typedef struct {
    int verdict;      /* SCAN_MORE with `whole`: a frame; without: bytes are missing */
    int whole;
    uint64_t value;
    wide begin, length, total;
} naive;

typedef struct {
    enum { LENGTH, VARINT, NETSTRING } kind;
    scan_layout layout;
    uint64_t limit;
    unsigned digits;
} format;

static naive finish(wide begin, wide length, wide trailer, size_t left)
{
    const wide total = begin + length + trailer;

    return (naive){SCAN_MORE, total <= left, (uint64_t)total, begin, length, total};
}

static naive fault(int verdict, uint64_t value)
{
    return (naive){verdict, 0, value, 0, 0, 0};
}

static naive naive_length(const scan_layout *layout, const uint8_t *bytes, size_t left)
{
    const wide header = (wide)layout->offset + layout->size;
    wide value = 0, total;

    if (layout->size < 1 || layout->size > 8 || layout->low > layout->high || header > layout->shortest
        || layout->strip > layout->shortest)
        return fault(SCAN_TOO_LONG, 0);
    if (left < header)
        return fault(SCAN_MORE, (uint64_t)header);
    for (size_t i = 0; i < layout->size; i++) {
        const wide byte = bytes[layout->offset + i];
        value += byte << 8 * (layout->little ? i : layout->size - 1 - i);
    }
    if (value < layout->low)
        return fault(SCAN_TOO_SHORT, (uint64_t)value);
    total = value - layout->low + layout->shortest;
    if (value > layout->high || total > SIZE_MAX)
        return fault(SCAN_TOO_LONG, (uint64_t)value);
    return finish(layout->strip, total - layout->strip, 0, left);
}

static naive naive_varint(uint64_t limit, const uint8_t *bytes, size_t left)
{
    wide value = 0, unit = 1;

    for (size_t i = 0; i < left; i++, unit *= 128) {
        value += unit * (bytes[i] % 128);
        if (value > UINT64_MAX || (i == 9 && bytes[i] >= 128))
            return fault(SCAN_VARINT_OVERFLOW, 0);
        if (bytes[i] < 128 && (value > limit || value + i + 1 > SIZE_MAX))
            return fault(SCAN_TOO_LONG, (uint64_t)value);
        if (bytes[i] < 128)
            return finish(i + 1, value, 0, left);
    }
    return fault(SCAN_MORE, (uint64_t)left + 1);
}

static naive naive_netstring(uint64_t limit, unsigned digits, const uint8_t *bytes, size_t left)
{
    wide value = 0;
    size_t i = 0;
    naive found;

    for (; i < left && bytes[i] >= '0' && bytes[i] <= '9'; i++) {
        if (i > 0 && bytes[0] == '0')
            return fault(SCAN_NOT_A_LENGTH, 0);
        value = value * 10 + bytes[i] - '0';
        if (i == (digits < 18 ? digits : 18))
            return fault(SCAN_TOO_LONG, (uint64_t)value);
    }
    if (i == left)
        return fault(SCAN_MORE, (uint64_t)left + 1);
    if (i == 0 || bytes[i] != ':')
        return fault(SCAN_NOT_A_LENGTH, 0);
    if (value > limit)
        return fault(SCAN_TOO_LONG, (uint64_t)value);
    found = finish(i + 1, value, 1, left);
    if (found.whole && bytes[found.total - 1] != ',')
        return fault(SCAN_NO_COMMA, (uint64_t)value);
    return found;
}

static naive naive_frame(const format *form, const uint8_t *bytes, size_t left)
{
    if (form->kind == LENGTH)
        return naive_length(&form->layout, bytes, left);
    if (left == 0)
        return fault(SCAN_MORE, 1);
    if (form->kind == VARINT)
        return naive_varint(form->limit, bytes, left);
    return naive_netstring(form->limit, form->digits, bytes, left);
}

/* -- the comparison ------------------------------------------------------------------------------------------ */

static void scan(const format *form, const char *data, size_t size, size_t at, scan_cuts *cuts)
{
    if (form->kind == LENGTH)
        scan_length(&form->layout, data, size, at, cuts);
    else if (form->kind == VARINT)
        scan_varint(form->limit, data, size, at, cuts);
    else
        scan_netstring(form->limit, form->digits, data, size, at, cuts);
}

/* Read one step of the program at *position: its count; and its letter, 'x' or 's'. */
static size_t read_step(const scan_cuts *cuts, size_t *position, char *letter)
{
    size_t count = 0;

    EXPECT(*position < cuts->length);
    for (; cuts->program[*position] >= '0' && cuts->program[*position] <= '9'; (*position)++) {
        count = count * 10 + (size_t)(cuts->program[*position] - '0');
        EXPECT(*position + 1 < cuts->length); /* a letter follows */
    }
    *letter = cuts->program[(*position)++];
    EXPECT(*letter == 'x' || *letter == 's');
    return count;
}

/* Run the program of one call beside the reference; returns where both stand afterwards. */
static size_t compare_program(const format *form, const char *data, size_t size, size_t at, const scan_cuts *cuts)
{
    size_t cursor = at, position = 0;

    EXPECT(cuts->length <= SCAN_PROGRAM_SIZE);
    while (position < cuts->length) {
        const naive frame = naive_frame(form, (const uint8_t *)data + at, size - at);
        char letter;
        size_t count = read_step(cuts, &position, &letter);

        EXPECT(frame.whole);
        if (letter == 'x') {
            cursor += count;
            count = read_step(cuts, &position, &letter);
        }
        EXPECT(letter == 's' && cursor == at + frame.begin && count == frame.length);
        cursor += count;
        EXPECT(cursor <= size);
        at += (size_t)frame.total;
    }
    EXPECT(cuts->end == at);
    return at;
}

static void compare_scan(const format *form, const char *data, size_t size, size_t most, scan_cuts *cuts)
{
    size_t at = 0;

    cuts->most = most;
    for (;;) {
        scan(form, data, size, at, cuts);
        const size_t next = compare_program(form, data, size, at, cuts);
        EXPECT(cuts->count <= most && (cuts->count < most || cuts->verdict == SCAN_FULL));
        if (cuts->verdict != SCAN_FULL)
            break;
        EXPECT(next > at);
        at = next;
    }
    const naive rest = naive_frame(form, (const uint8_t *)data + cuts->end, size - cuts->end);
    EXPECT(!rest.whole && rest.verdict == cuts->verdict && rest.value == cuts->value);
    EXPECT(rest.verdict != SCAN_MORE || rest.value > size - cuts->end);
}

/* -- packing ------------------------------------------------------------------------------------------------- */

enum { PAYLOADS = 64 };

/* What pack_lengths should write to out, or 0. */
static size_t naive_pack(const pack_layout *layout, const char *payloads, size_t total, const uint64_t *sizes,
                         size_t count, uint8_t *out, size_t room)
{
    wide sum = 0;
    size_t written = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t value = sizes[i] + layout->bias;
        uint8_t field[10] = {0};
        size_t header = layout->size;

        if (layout->size == 0) {
            for (header = 0; header == 0 || value != 0; value /= 128)
                field[header++] = (uint8_t)(value % 128 + (value >= 128 ? 128 : 0));
        } else {
            for (size_t j = 0; j < header; j++, value /= 256)
                field[layout->little ? j : header - 1 - j] = (uint8_t)(value % 256);
        }
        if (sum + sizes[i] > total || (wide)written + header + sizes[i] > room)
            return 0;
        for (size_t j = 0; j < header; j++)
            out[written++] = field[j];
        for (size_t j = 0; j < sizes[i]; j++)
            out[written++] = (uint8_t)payloads[(size_t)sum + j];
        sum += sizes[i];
    }
    return sum == total ? written : 0;
}

static void compare_pack(input *in)
{
    pack_layout layout = {take_byte(in) % 9, take_number(in), take_byte(in) & 1};
    const size_t count = take_byte(in) % PAYLOADS, spare = take_byte(in);
    uint64_t *sizes = malloc(PAYLOADS * sizeof *sizes);
    wide sum = 0;

    EXPECT(sizes != NULL);
    for (size_t i = 0; i < count; i++)
        sum += sizes[i] = take_number(in);
    /* Most of the time the sizes should add up, or nothing but the refusal is tested. */
    const size_t total = sum < in->left && spare % 8 != 7 ? (size_t)sum : in->left;
    char *payloads = exact_copy(in->bytes, total);
    /* Enough, or exactly what is needed, or one or two bytes less, or anything. */
    const size_t need = total + layout.size * count, less = spare % 3;
    const size_t room = spare < 64 ? need + 10 * count : spare < 224 ? (need > less ? need - less : 0) : spare;
    char *out = malloc(room != 0 ? room : 1);
    uint8_t *expected = malloc(room != 0 ? room : 1);

    EXPECT(out != NULL && expected != NULL);
    const size_t written = pack_lengths(&layout, payloads, total, sizes, count, out, room);
    EXPECT(written == naive_pack(&layout, payloads, total, sizes, count, expected, room));
    EXPECT(written == 0 || memcmp(out, expected, written) == 0);
    free(sizes);
    free(payloads);
    free(out);
    free(expected);
}

/* -- the entry ----------------------------------------------------------------------------------------------- */

static format take_format(input *in, unsigned kind)
{
    format form = {.kind = LENGTH};

    if (kind == 1) {
        form.kind = VARINT;
        form.limit = take_number(in);
    } else if (kind == 2) {
        form.kind = NETSTRING;
        form.limit = take_number(in);
        form.digits = take_byte(in) % 24;
    } else {
        form.layout.size = take_byte(in) % 10;
        form.layout.offset = (size_t)take_number(in);
        form.layout.strip = (size_t)take_number(in);
        form.layout.low = take_number(in);
        form.layout.high = form.layout.low + take_number(in) * 16;
        form.layout.little = take_byte(in) & 1;
        form.layout.shortest = form.layout.offset + form.layout.size + (size_t)take_number(in);
    }
    return form;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    input in = {bytes, size};
    const unsigned kind = take_byte(&in) % 4;

    if (kind == 3) {
        compare_pack(&in);
        return 0;
    }
    const format form = take_format(&in, kind);
    char *data = exact_copy(in.bytes, in.left);
    scan_cuts *cuts = malloc(sizeof *cuts);

    EXPECT(cuts != NULL);
    compare_scan(&form, data, in.left, bytes[0] < 128 ? SIZE_MAX : bytes[0] % 5 + 1u, cuts);
    free(cuts);
    free(data);
    return 0;
}
