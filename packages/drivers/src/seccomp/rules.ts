/** What happens to a system call. Errno names are those of errno(3). */
export type Action = 'allow' | 'kill' | { readonly errno: Errno }

export const ERRNO = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 } as const
export type Errno = keyof typeof ERRNO

/** Looks at the low 32 bits of one argument, as many as the kernel itself reads of the arguments named here. */
export type Condition =
  | { readonly argument: number; readonly equals: number }
  | { readonly argument: number; readonly anyBit: number }

export interface Rule {
  /** System calls, separated by white space. */
  readonly names: string
  /** Tried in order before `action`; a case holds when all its conditions hold. */
  readonly cases?: readonly { readonly when: readonly Condition[]; readonly action: Action }[]
  readonly action: Action
  readonly why: string
}

const refused: Action = { errno: 'EPERM' }
const unknown: Action = { errno: 'ENOSYS' }

/** CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const NAMESPACE_FLAGS = 0x7e020080
/** The same for clone(2), whose lowest byte is a signal number and cannot name CLONE_NEWTIME. */
const CLONE_NAMESPACE_FLAGS = 0x7e020000

const TIOCSTI = 0x5412
const TIOCLINUX = 0x541c

const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16
const NETLINK_ROUTE = 0

/** What no rule names, which is every system call younger than this table: programs fall back to older ones. */
export const UNNAMED: Action = unknown
/** Another architecture's convention, or x32: none of the numbers below would mean what they say. */
export const FOREIGN: Action = 'kill'

/**
 * The filter of every machine that shares the host's kernel. It is the second wall: namespaces, ids and
 * capabilities already refuse nearly all of what is refused here.
 */
export const RULES: readonly Rule[] = [
  {
    names: 'clone',
    cases: [{ when: [{ argument: 0, anyBit: CLONE_NAMESPACE_FLAGS }], action: refused }],
    action: 'allow',
    why: 'Processes and threads, but no namespaces: a nested user namespace opens kernel code meant for root.',
  },
  {
    names: 'clone3',
    action: unknown,
    why: 'Its flags lie in memory that a filter cannot read; libc falls back to clone.',
  },
  {
    names: 'unshare',
    cases: [{ when: [{ argument: 0, anyBit: NAMESPACE_FLAGS }], action: refused }],
    action: 'allow',
    why: 'As clone; what is left unshares file descriptors and the like.',
  },
  { names: 'setns', action: refused, why: 'There is no namespace to go to.' },
  {
    names: 'ioctl',
    cases: [
      { when: [{ argument: 1, equals: TIOCSTI }], action: refused },
      { when: [{ argument: 1, equals: TIOCLINUX }], action: refused },
    ],
    action: 'allow',
    why: 'Devices are few; pushing input into a terminal is how a program speaks as somebody else.',
  },
  {
    names: 'personality',
    cases: [
      { when: [{ argument: 0, equals: 0 }], action: 'allow' },
      { when: [{ argument: 0, equals: 0x8 }], action: 'allow' },
      { when: [{ argument: 0, equals: 0x20000 }], action: 'allow' },
      { when: [{ argument: 0, equals: 0x40000 }], action: 'allow' },
      { when: [{ argument: 0, equals: 0xffffffff }], action: 'allow' },
    ],
    action: refused,
    why: 'Plain Linux, 32-bit names, old version names, no address randomization (debuggers), and asking. Others switch on old code.',
  },
  {
    names: 'socket',
    cases: [
      { when: [{ argument: 0, equals: AF_UNIX }], action: 'allow' },
      { when: [{ argument: 0, equals: AF_INET }], action: 'allow' },
      { when: [{ argument: 0, equals: AF_INET6 }], action: 'allow' },
      {
        when: [
          { argument: 0, equals: AF_NETLINK },
          { argument: 2, equals: NETLINK_ROUTE },
        ],
        action: 'allow',
      },
    ],
    action: { errno: 'EAFNOSUPPORT' },
    why: 'Unix, IPv4, IPv6, and the list of interfaces. AF_VSOCK has no namespace, AF_PACKET, AF_ALG and the rest are attack surface.',
  },
  {
    names: 'socketpair',
    cases: [{ when: [{ argument: 0, equals: AF_UNIX }], action: 'allow' }],
    action: { errno: 'EAFNOSUPPORT' },
    why: 'As for socket.',
  },
  {
    names: `mount umount2 pivot_root fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr`,
    action: refused,
    why: 'The tree of mounts is the wall.',
  },
  { names: 'statmount listmount', action: unknown, why: 'Would show the paths of the host behind the mounts.' },
  {
    names: 'add_key request_key keyctl',
    action: refused,
    why: 'Keyrings are shared with the host more than any namespace says.',
  },
  {
    names: 'bpf perf_event_open userfaultfd fanotify_init fanotify_mark',
    action: refused,
    why: 'Large kernel interfaces that exploits begin with.',
  },
  {
    names: 'io_uring_setup io_uring_enter io_uring_register',
    action: unknown,
    why: 'Its operations pass by this filter; programs treat it as not built in and fall back.',
  },
  {
    names: `init_module finit_module delete_module create_module get_kernel_syms query_module kexec_load
      kexec_file_load reboot swapon swapoff acct quotactl quotactl_fd syslog vhangup iopl ioperm`,
    action: refused,
    why: 'Belongs to whoever runs the host.',
  },
  {
    names: 'settimeofday clock_settime clock_adjtime adjtimex',
    action: refused,
    why: "The clock is the host's.",
  },
  { names: 'sethostname setdomainname', action: refused, why: 'The name is given when the machine is made.' },
  { names: 'modify_ldt', action: refused, why: '16-bit segments: only old emulators want them, and so do exploits.' },
  {
    names: 'open_by_handle_at name_to_handle_at',
    action: refused,
    why: 'Handles reach files that no path inside leads to.',
  },
  {
    names: 'move_pages migrate_pages mbind set_mempolicy set_mempolicy_home_node',
    action: refused,
    why: "Placing memory on the host's nodes is not the machine's to decide.",
  },
  { names: 'kcmp process_madvise lookup_dcookie', action: refused, why: 'Show or steer kernel objects of others.' },
  {
    names: `lsm_get_self_attr lsm_set_self_attr lsm_list_modules map_shadow_stack`,
    action: unknown,
    why: 'Nothing needs them yet.',
  },
  {
    names: `uselib ustat sysfs _sysctl nfsservctl vserver security tuxcall afs_syscall getpmsg putpmsg epoll_ctl_old
      epoll_wait_old`,
    action: unknown,
    why: 'Gone from the kernel, or kept only for programs of the last century.',
  },
  {
    names: `read write open close stat fstat lstat lseek pread64 pwrite64 readv writev preadv pwritev preadv2
      pwritev2 access faccessat faccessat2 creat openat openat2 close_range dup dup2 dup3 fcntl flock fsync
      fdatasync sync syncfs sync_file_range truncate ftruncate fallocate fadvise64 readahead getdents
      getdents64 getcwd chdir fchdir chroot rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink
      unlinkat symlink symlinkat readlink readlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown
      fchownat umask utime utimes futimesat utimensat mknod mknodat statfs fstatfs newfstatat statx
      copy_file_range sendfile splice tee vmsplice cachestat`,
    action: 'allow',
    why: 'Files are decided by the mount namespace and by ids, not here.',
  },
  {
    names: `setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr removexattr
      lremovexattr fremovexattr`,
    action: 'allow',
    why: 'Attributes of files; those that need power over the host are refused by the kernel.',
  },
  {
    names: `poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
      eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime inotify_init
      inotify_init1 inotify_add_watch inotify_rm_watch io_setup io_destroy io_getevents io_submit io_cancel
      io_pgetevents pipe pipe2`,
    action: 'allow',
    why: 'Waiting and pipes.',
  },
  {
    names: `mmap mprotect munmap brk mremap msync mincore madvise mlock mlock2 munlock mlockall munlockall
      remap_file_pages memfd_create memfd_secret pkey_mprotect pkey_alloc pkey_free get_mempolicy membarrier
      mseal`,
    action: 'allow',
    why: "A process's own memory.",
  },
  {
    names: `rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo
      rt_tgsigqueueinfo rt_sigsuspend sigaltstack pause kill tkill tgkill restart_syscall`,
    action: 'allow',
    why: 'Signals end at the pid namespace.',
  },
  {
    names: `fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid setpgid getpgid getpgrp
      setsid getsid ptrace process_vm_readv process_vm_writev process_mrelease pidfd_open pidfd_send_signal
      pidfd_getfd prctl arch_prctl set_tid_address set_thread_area get_thread_area set_robust_list
      get_robust_list rseq`,
    action: 'allow',
    why: 'Processes and threads; debuggers work inside one pid and user namespace.',
  },
  {
    names: `getuid geteuid getgid getegid setuid setgid setreuid setregid setresuid getresuid setresgid getresgid
      setfsuid setfsgid getgroups setgroups capget capset`,
    action: 'allow',
    why: 'Ids and capabilities inside the user namespace.',
  },
  {
    names: `nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time getitimer setitimer alarm
      timer_create timer_settime timer_gettime timer_getoverrun timer_delete times`,
    action: 'allow',
    why: 'Reading clocks and sleeping.',
  },
  {
    names: `sched_yield sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_get_priority_max
      sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity sched_setattr
      sched_getattr getpriority setpriority ioprio_set ioprio_get getcpu getrlimit setrlimit prlimit64
      getrusage futex futex_waitv futex_wake futex_wait futex_requeue`,
    action: 'allow',
    why: 'Own priority, limits and locks; more than that needs capabilities that are not there.',
  },
  {
    names: `connect accept accept4 sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown bind listen
      getsockname getpeername setsockopt getsockopt`,
    action: 'allow',
    why: 'Sockets once made; which kinds can be made is decided at `socket`.',
  },
  {
    names: `shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink
      mq_timedsend mq_timedreceive mq_notify mq_getsetattr`,
    action: 'allow',
    why: "The ipc namespace is the machine's own.",
  },
  { names: 'uname sysinfo getrandom', action: 'allow', why: 'Facts about the kernel.' },
  {
    names: 'seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self',
    action: 'allow',
    why: 'A program may lock itself in further.',
  },
]
