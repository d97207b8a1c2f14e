/* Batches; read batch.h first.
 *
 * THE INVARIANT: a slot is lent to the kernel with its own bounds, and nothing that the kernel returns is used as an
 * index: a size that exceeds the slot is only a number for Python.  Of sending: the jobs add up to what was lent,
 * checked for all of them before the first byte leaves.
 *
 * BOTH CALLS FORGET ERRORS.  When recvmmsg has received something before an error, it returns that and leaves the error
 * with the socket: the next call tells it.  When sendmmsg has sent something, it returns the number and *drops* the
 * error.  Most errors come again with the same datagram, because it is what they are about.  ECONNREFUSED does not: on
 * a connected socket it is the kernel's report about an earlier datagram, made once.  So what goes to a connected socket
 * goes one by one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "batch.h"

#include <errno.h>

#if BATCH_WORKS
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

_Static_assert(BATCH_ADDRESS == sizeof(struct sockaddr_in6), "an address is as long as the longest");

int batch_receive(int fd, int most, batch_place *place)
{
    struct mmsghdr messages[BATCH_DATAGRAMS];
    struct iovec slots[BATCH_DATAGRAMS];

    if (most < 1 || most > BATCH_DATAGRAMS)
        return -EINVAL;
    memset(messages, 0, (size_t)most * sizeof(messages[0]));
    for (size_t i = 0; i < (size_t)most; i++) {
        slots[i].iov_base = place->arena + i * place->stride;
        slots[i].iov_len = place->share;
        messages[i].msg_hdr.msg_iov = &slots[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = place->addresses + i * BATCH_ADDRESS;
        messages[i].msg_hdr.msg_namelen = BATCH_ADDRESS;
    }

    const int count = recvmmsg(fd, messages, (unsigned)most, MSG_DONTWAIT | MSG_TRUNC, NULL);

    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        const struct msghdr *header = &messages[i].msg_hdr;

        place->sizes[i] = messages[i].msg_len;
        place->names[i] = header->msg_namelen < BATCH_ADDRESS ? (int64_t)header->msg_namelen : BATCH_ADDRESS;
        if (i > 0 && header->msg_namelen == messages[i - 1].msg_hdr.msg_namelen &&
            memcmp(header->msg_name, messages[i - 1].msg_hdr.msg_name, (size_t)place->names[i]) == 0)
            place->names[i] = 0;
    }
    return count;
}

/* Hand over messages[0 .. count) as sendmmsg does, in one call or in as many; the number sent, and why no more. */
static int send_messages(int fd, struct mmsghdr *messages, int count, int *error)
{
    int done = 0;

    while (done < count) {
        int sent = 1;

        if (messages[done].msg_hdr.msg_namelen == 0)
            sent = sendmsg(fd, &messages[done].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 1;
        else
            sent = sendmmsg(fd, messages + done, (unsigned)(count - done), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0) {
            *error = sent < 0 ? errno : EAGAIN;
            break;
        }
        done += sent;
    }
    return done;
}

int batch_send(int fd, const int64_t *jobs, size_t count, const char *data, size_t size, const char *names,
               size_t names_size, int *error)
{
    struct mmsghdr messages[BATCH_DATAGRAMS];
    struct iovec pieces[BATCH_DATAGRAMS];

    *error = 0;
    if (count > BATCH_DATAGRAMS)
        return -EINVAL;
    memset(messages, 0, count * sizeof(messages[0]));
    for (size_t i = 0; i < count; i++) {
        const int64_t length = jobs[i], name = jobs[count + i];

        if (length < 0 || (uint64_t)length > size || name < 0 || (uint64_t)name > names_size)
            return -EINVAL;
        pieces[i].iov_base = (char *)data;
        pieces[i].iov_len = (size_t)length;
        messages[i].msg_hdr.msg_iov = &pieces[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = name != 0 ? (char *)names : NULL;
        messages[i].msg_hdr.msg_namelen = (socklen_t)name;
        data += length, size -= (size_t)length;
        names += name, names_size -= (size_t)name;
    }
    if (size != 0 || names_size != 0)
        return -EINVAL;
    return send_messages(fd, messages, (int)count, error);
}

#else /* there is no recvmmsg: the functions exist, so that the module has one shape everywhere */

int batch_receive(int fd, int most, batch_place *place)
{
    (void)fd, (void)most, (void)place;
    return -ENOSYS;
}

int batch_send(int fd, const int64_t *jobs, size_t count, const char *data, size_t size, const char *names,
               size_t names_size, int *error)
{
    (void)fd, (void)jobs, (void)count, (void)data, (void)size, (void)names, (void)names_size;
    *error = ENOSYS;
    return 0;
}

#endif
