/* The pump under the sanitizers: real sockets, random traffic, every buffer exactly as large as it is said to be.
 *
 *     cc -std=c11 -g -fsanitize=address,undefined -I _accel tests/fuzz/pump_driver.c -o driver && ./driver SEED ROUNDS
 *
 * Eight streams carry a pattern in which each byte follows from its position, so a byte that is lost, doubled or
 * somebody else's shows at once.  Arena, share and tables change in every round; some descriptors are passed over, some
 * lie beyond the table, peers come and go.  Exit status 0, or abort() at the first thing that is wrong.
 */
#define _GNU_SOURCE
#include "pump.c"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STREAMS = 8, LARGEST = 20000 };

typedef struct {
    int ours, theirs;
    uint64_t written, arrived; /* by the peer, and seen by us */
    uint64_t sent, heard;      /* by us, and seen by the peer */
} stream;

static uint64_t state;

static uint64_t below(uint64_t limit)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % limit;
}

static void demand(int truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "pump_driver: %s\n", what);
        abort();
    }
}

static char pattern(int id, uint64_t position) { return (char)(position * 31 + (position >> 8) + (uint64_t)id * 7); }

static void open_stream(stream *s, int epoll_fd)
{
    int pair[2];
    struct epoll_event event = {.events = EPOLLIN};

    demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
    *s = (stream){.ours = pair[0], .theirs = pair[1]};
    event.data.fd = s->ours;
    demand(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->ours, &event) == 0, "epoll_ctl");
}

static void peer_writes(stream *s, int id)
{
    char data[LARGEST];
    const size_t size = 1 + below(sizeof data);

    for (size_t i = 0; i < size; i++)
        data[i] = pattern(id, s->written + i);
    const ssize_t done = send(s->theirs, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done > 0)
        s->written += (uint64_t)done;
}

static void peer_reads(stream *s, int id)
{
    char data[LARGEST];
    const ssize_t size = recv(s->theirs, data, sizeof data, MSG_DONTWAIT);

    for (ssize_t i = 0; i < size; i++)
        demand(data[i] == pattern(id, s->heard + (uint64_t)i), "the peer hears what was sent");
    if (size > 0)
        s->heard += (uint64_t)size;
    demand(s->heard <= s->sent, "nobody hears more than was sent");
}

static void wait_once(stream *streams, int epoll_fd)
{
    const size_t known = below(2) ? 1024 : (size_t)streams[below(STREAMS)].ours, room = 1 + below(3 * LARGEST);
    unsigned char *pumped = malloc(known + 1);
    char *arena = malloc(room);
    int64_t *arrivals = malloc(3 * PUMP_EVENTS * sizeof *arrivals), *readiness = malloc(2 * PUMP_EVENTS * sizeof *readiness);

    for (size_t i = 0; i < known; i++)
        pumped[i] = (unsigned char)(below(4) != 0);
    pump_place place = {.pumped = pumped, .known = known, .arena = arena, .room = room, .share = 1 + below(2 * LARGEST),
                        .arrivals = arrivals, .readiness = readiness};
    demand(pump_wait(epoll_fd, 0, &place) == 0, "pump_wait");
    demand(place.arrival_count + place.readiness_count <= 2 * PUMP_EVENTS, "the tables hold it");
    for (size_t row = 0; row < place.arrival_count; row++) {
        const int64_t fd = arrivals[3 * row], start = arrivals[3 * row + 1], size = arrivals[3 * row + 2];

        demand((size_t)fd < known && pumped[fd], "only what is pumped arrives");
        for (int id = 0; id < STREAMS; id++)
            if (streams[id].ours == fd && size > 0) {
                demand((size_t)size <= place.share && (size_t)(start + size) <= room, "it stays in its place");
                for (int64_t i = 0; i < size; i++)
                    demand(arena[start + i] == pattern(id, streams[id].arrived + (uint64_t)i), "every byte in order");
                streams[id].arrived += (uint64_t)size;
            }
    }
    free(pumped), free(arena), free(arrivals), free(readiness);
}

static void send_once(stream *streams)
{
    const size_t count = 1 + below(STREAMS);
    int64_t *jobs = malloc(2 * count * sizeof *jobs), asked[STREAMS];
    int ids[STREAMS];
    size_t size = 0;
    char *data = malloc(count * LARGEST);

    for (size_t i = 0; i < count; i++) {
        const int id = (int)below(STREAMS);
        int repeated = 0;
        for (size_t before = 0; before < i; before++)
            repeated |= ids[before] == id;
        ids[i] = id;
        asked[i] = repeated ? 0 : (int64_t)(1 + below(LARGEST));
        jobs[2 * i] = streams[id].ours, jobs[2 * i + 1] = asked[i];
        for (int64_t k = 0; k < asked[i]; k++)
            data[size + (size_t)k] = pattern(id, streams[id].sent + (uint64_t)k);
        size += (size_t)asked[i];
    }
    char *exact = malloc(size ? size : 1);
    memcpy(exact, data, size);
    if (below(10) == 0) {
        jobs[2 * below(count) + 1] += (int64_t)below(2 * LARGEST) - LARGEST;
        int64_t total = 0;
        for (size_t i = 0; i < count; i++)
            total += jobs[2 * i + 1];
        if (total != (int64_t)size)
            demand(pump_send(jobs, count, exact, size) == -EINVAL, "jobs that do not add up are refused");
    } else {
        demand(pump_send(jobs, count, exact, size) >= 0, "pump_send");
        for (size_t i = 0; i < count; i++) {
            demand(jobs[2 * i + 1] <= asked[i], "no more than asked");
            if (jobs[2 * i + 1] > 0)
                streams[ids[i]].sent += (uint64_t)jobs[2 * i + 1];
        }
    }
    free(jobs), free(data), free(exact);
}

int main(int argc, char **argv)
{
    stream streams[STREAMS];
    const int epoll_fd = epoll_create1(0);
    const long rounds = argc > 2 ? atol(argv[2]) : 1000;

    state = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1) * 2654435761u + 1;
    for (int id = 0; id < STREAMS; id++)
        open_stream(&streams[id], epoll_fd);
    for (long round = 0; round < rounds; round++) {
        const int id = (int)below(STREAMS);

        if (below(40) == 0) {
            close(streams[id].theirs), close(streams[id].ours);
            open_stream(&streams[id], epoll_fd);
        }
        peer_writes(&streams[id], id);
        wait_once(streams, epoll_fd);
        send_once(streams);
        for (int other = 0; other < STREAMS; other++)
            peer_reads(&streams[other], other);
    }
    printf("%ld rounds\n", rounds);
    return 0;
}
