/* What Python sees of the C code: read by cffi, which understands declarations but no preprocessor.
 *
 * The text of the other headers without their comments; the compiler checks it against them, because the generated
 * module includes them all.
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

#define PUMP_WORKS ...
#define PUMP_EVENTS ...

typedef struct {
    const unsigned char *pumped;
    size_t known;
    char *arena;
    size_t room, share;
    int64_t *arrivals, *readiness;
    size_t arrival_count, readiness_count;
} pump_place;

int pump_wait(int epoll_fd, int timeout, pump_place *place);
int pump_send(int64_t *jobs, size_t count, const char *data, size_t size);

#define BATCH_WORKS ...
#define BATCH_DATAGRAMS ...
#define BATCH_ADDRESS ...

typedef struct {
    char *arena;
    size_t share, stride;
    char *addresses;
    int64_t *sizes, *names;
} batch_place;

int batch_receive(int fd, int most, batch_place *place);
int batch_send(int fd, const int64_t *jobs, size_t count, const char *data, size_t size, const char *names,
               size_t names_size, int *error);
