/* What the load generator sees of its C code: the text of drive.h without its comments.
 *
 * It is read by cffi, as declarations.h is for the other module, and checked by the compiler against drive.h.
 */

#define REACTOR_DRIVE_INTERFACE ...
#define DRIVE_WORKS ...
#define DRIVE_BUCKETS ...

typedef struct {
    int fd, state;
    int wants_room, error;
    uint64_t queued;
    uint64_t sent;
    uint64_t expected;
    uint64_t settled;
    size_t sent_offset, expected_offset;
} drive_peer;

typedef struct {
    uint64_t *counts;
    uint64_t count, sum, least, most;
} drive_record;

typedef struct {
    const char *pool, *replies;
    size_t pool_size;
    const uint32_t *sizes;
    size_t largest;
    int framing, datagrams;
    drive_peer *peers;
    size_t peer_count;
    int64_t *starts;
    size_t ring;
    int epoll_fd;
    uint64_t window, budget;
    const double *gaps;
    double due;
    size_t gap, turn;
    uint64_t held;
    int is_held;
    int64_t record_from;
    drive_record latency, service, lateness;
    uint64_t messages_out, bytes_out, messages_in, bytes_in;
    char *inbox, *outbox;
    size_t in_room, out_room;
    size_t peer, in_at, in_size;
    int error;
} drive;

int drive_is_sound(const drive *d);
int drive_watch(const drive *d, size_t id);
int drive_slice(drive *d, int64_t until);
size_t drive_overdue(const drive *d, size_t from, int64_t before);
size_t drive_bucket(uint64_t value);
