/* Names from a DNS server of the test's. Loaded before libc (LD_PRELOAD) it looks up names that end in `.test` or
 * `.amazonaws.com` by asking 127.0.0.1 at the UDP port NAMES_PORT, anew each time, for what a name has of IPv4. libc's own
 * way is the same but for the server, which is the one in /etc/resolv.conf at port 53 and cannot be chosen by a process. All
 * other names are libc's. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET 512
#define HEAD 12
#define PATIENCE 5000 /* milliseconds */

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static size_t write_question(unsigned char *packet, const char *name) {
    static const unsigned char head[HEAD] = {0x12, 0x34, 1, 0, 0, 1};
    memcpy(packet, head, HEAD);
    unsigned char *at = packet + HEAD;
    while (*name) {
        size_t length = strcspn(name, ".");
        *at++ = (unsigned char)length;
        memcpy(at, name, length);
        at += length;
        name += length + (name[length] == '.');
    }
    memcpy(at, "\0\0\1\0\1", 5); /* the root; an address; of the internet */
    return (size_t)(at - packet) + 5;
}

/* How much has come, after the question's `asked` bytes, which an answer repeats. */
static ssize_t ask(const char *name, const char *port, unsigned char *packet, size_t *asked) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *asked = write_question(packet, name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(fd, packet, *asked, 0, (struct sockaddr *)&server, sizeof server);
    struct pollfd waits = {.fd = fd, .events = POLLIN};
    ssize_t came = poll(&waits, 1, PATIENCE) == 1 ? recv(fd, packet, PACKET, 0) : -1;
    close(fd);
    return came;
}

static int ends_in(const char *name, const char *end) {
    size_t length = strlen(name), its = strlen(end);
    return length > its && length <= 100 && strcmp(name + length - its, end) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    lookup *real = (lookup *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *port = getenv("NAMES_PORT");
    size_t asked = 0;
    if (!port || !node || !(ends_in(node, ".test") || ends_in(node, ".amazonaws.com")))
        return real(node, service, hints, result);
    unsigned char packet[PACKET];
    ssize_t came = ask(node, port, packet, &asked);
    *result = NULL;
    struct addrinfo **next = result;
    /* Each answer: the name in two bytes, type, class, time to live, a length, and as much. */
    for (size_t at = asked; came > 0 && at + 16 <= (size_t)came; at += 16) {
        char text[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, packet + at + 12, text, sizeof text);
        if (real(text, service, hints, next) != 0)
            break;
        while (*next)
            next = &(*next)->ai_next;
    }
    return *result ? 0 : EAI_NONAME;
}
