/* What servers and clients see of the C code: read by cffi, which understands declarations but no preprocessor.
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
    size_t most;
    size_t length;
    size_t count;
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
void scan_on_length(const scan_layout *layout, const char *data, size_t size, scan_cuts *cuts);
void scan_on_varint(uint64_t limit, const char *data, size_t size, scan_cuts *cuts);
void scan_on_rest(size_t count, scan_cuts *cuts);
int scan_has_room(const scan_cuts *cuts);

typedef struct {
    size_t size;
    uint64_t bias;
    int little;
} pack_layout;

size_t pack_lengths(const pack_layout *layout, const char *payloads, size_t total, const uint64_t *sizes, size_t count,
                    char *out, size_t room);

#define PUMP_WORKS ...
#define PUMP_EVENTS ...
#define PUMP_FORMATS ...
#define PUMP_RAW ...
#define PUMP_LENGTH ...
#define PUMP_VARINT ...

typedef struct {
    int kind;
    scan_layout layout;
    uint64_t limit;
    pack_layout pack;
} pump_format;

typedef struct {
    int64_t fd;
    int64_t format;
    int64_t size;
    int64_t count;
} pump_arrival;

typedef struct {
    int64_t fd;
    int64_t format;
    int64_t count;
    int64_t taken;
} pump_posting;

#define PUMP_LONG_PEER ...

typedef struct {
    int64_t fd;
    int64_t peer;
    unsigned char long_peer[32];
} pump_guest;

typedef struct {
    const unsigned char *marks;
    size_t known;
    const pump_format *formats;
    size_t format_count;
    char *arena;
    size_t room, share, frames;
    scan_cuts *cuts;
    pump_arrival *arrivals;
    int64_t *readiness;
    char *outgoing;
    size_t outgoing_room;
    size_t arrival_count, readiness_count;
    int uniform;
    uint64_t spin;
    pump_guest *guests;
} pump_place;

size_t pump_accept(int listener, const pump_place *place, size_t most, int *error);
int pump_wait(int epoll_fd, int timeout, pump_place *place);
int pump_send(const pump_place *place, pump_posting *postings, size_t streams, const uint64_t *sizes, size_t count,
              const char *payloads, size_t total);
int64_t pump_write(int fd, const char *data, size_t size);

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
