// Package epoll is an epoll of Linux that Go's own poller watches in its turn: an epoll is readable while one of its
// sockets is. So nobody waits in a system call, and who is woken, and how often, is decided here.
//
// It owns the epoll and no socket. Only Linux has one.
package epoll
