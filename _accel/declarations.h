/* What Python sees of the C code: read by cffi, which understands declarations but no preprocessor.
 *
 * The text of scan.h and pack.h without their comments; the compiler checks it against them, because the generated
 * module includes both.
 */

#define REACTOR_ACCEL_INTERFACE ...
#define SCAN_PROGRAM_SIZE ...

typedef struct {
    size_t end;
    uint64_t value;
    int verdict;
    size_t length;
    char program[...];
} scan_cuts;

typedef struct {
    size_t offset, size, shortest, strip;
    uint64_t low, high;
    int little;
} scan_layout;

void scan_length(const scan_layout *layout, const char *data, size_t size, size_t at, scan_cuts *cuts);
void scan_varint(uint64_t limit, const char *data, size_t size, size_t at, scan_cuts *cuts);
void scan_netstring(uint64_t limit, unsigned digits, const char *data, size_t size, size_t at, scan_cuts *cuts);

typedef struct {
    size_t size;
    uint64_t bias;
    int little;
} pack_layout;

size_t pack_lengths(const pack_layout *layout, const char *payloads, size_t total, const uint64_t *sizes, size_t count,
                    char *out, size_t room);
