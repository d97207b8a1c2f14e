/* The scanners: where the frames are in a chunk of bytes, found in one call.
 *
 * What C may do here is little, on purpose.  It never sees a Python object, never calls back, allocates nothing
 * and keeps nothing: it reads `data`, writes one scan_cuts, and returns.  So it can run without the GIL, and every
 * way in which it could go wrong is an index, checked below.
 *
 * THE IDEA.  The obvious result would be a list of offsets, and Python would then slice at each of them.  But
 * slicing is the expensive half (about 90 ns a frame, against 5 for finding it).  So the scanner writes a little
 * program instead, in the language of Python's struct module:
 *
 *     "4x5s4x3s"      skip 4 bytes, take 5; skip 4 bytes, take 3
 *
 * and struct.Struct(program).unpack_from(data) makes all frames in one loop in C that is not ours (about 30 ns a
 * frame).  See reactor/framing/scanner_accel.py for the other side.
 *
 * The verdicts and what they mean are those of reactor/framing/seam.py; change both together.
 */
#ifndef REACTOR_SCAN_H
#define REACTOR_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum {
    SCAN_FULL = -1,           /* no room for another frame, or `most` of them are cut: run it, then scan on from `end` */
    SCAN_MORE = 0,            /* bytes are missing; `value` counts how many are needed from `end` on */
    SCAN_TOO_LONG = 1,        /* `value` is what the length says */
    SCAN_TOO_SHORT = 2,       /* the same */
    SCAN_VARINT_OVERFLOW = 3,
    SCAN_NOT_A_LENGTH = 4,
    SCAN_NO_COMMA = 5         /* `value` is the length of the netstring */
};

/* Room for the program.  Two numbers of at most 20 digits and two letters a frame, and one more of each for what is
 * left behind the last: 63 bytes at worst.  Usually a frame takes 6 or 7, so that one program cuts about 4,000. */
#define SCAN_STEP_SIZE 63
#ifndef SCAN_PROGRAM_SIZE /* the fuzzer makes it small, so that it is full often */
#define SCAN_PROGRAM_SIZE (32 * 1024)
#endif

/* What one call found.  The caller owns it and may use it again. */
typedef struct {
    size_t end;       /* position in `data` behind the last complete frame */
    uint64_t value;   /* what the verdict says it is */
    int verdict;      /* one of the enumeration above */
    size_t most;      /* in: how many frames the program may cut in all */
    size_t length;    /* bytes of the program; it is not terminated by a NUL */
    size_t count;     /* frames that it cuts */
    char program[SCAN_PROGRAM_SIZE];
} scan_cuts;

/* A length field of fixed size.  A frame whose field holds `low` occupies `shortest` bytes, and each unit more is
 * a byte more; the first `strip` of them are not delivered.  Required: 1 <= size <= 8, low <= high, and both
 * offset + size and strip <= shortest.  A layout that breaks this finds no frame and is never an overrun. */
typedef struct {
    size_t offset, size, shortest, strip;
    uint64_t low, high;
    int little;       /* byte order: 1 little endian, 0 big endian */
} scan_layout;

/* Each scans data[at .. size), which begins with a frame, and fills in *cuts.  The program counts from `at`. */
void scan_length(const scan_layout *layout, const char *data, size_t size, size_t at, scan_cuts *cuts);
void scan_varint(uint64_t limit, const char *data, size_t size, size_t at, scan_cuts *cuts);
void scan_netstring(uint64_t limit, unsigned digits, const char *data, size_t size, size_t at, scan_cuts *cuts);

/* As the first two, for data[0 .. size), which lies right behind what the program has cut already: it goes on. */
void scan_on_length(const scan_layout *layout, const char *data, size_t size, scan_cuts *cuts);
void scan_on_varint(uint64_t limit, const char *data, size_t size, scan_cuts *cuts);

/* Take the next `count` bytes as they are.  The program must have room, see scan_has_room. */
void scan_on_rest(size_t count, scan_cuts *cuts);

/* Is there room in the program for a frame, and for what is left behind it? */
int scan_has_room(const scan_cuts *cuts);

#endif
