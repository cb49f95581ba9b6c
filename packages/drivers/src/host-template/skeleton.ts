/** One file of a template's root, without anything of the host in it. */
export type Entry =
  | { readonly path: string; readonly directory: true; readonly mode?: number; readonly uid?: number }
  | { readonly path: string; readonly text: string; readonly mode?: number; readonly uid?: number }
  | { readonly path: string; readonly link: string; readonly uid?: number }

/** Ids of the two users inside. */
export const USER_ID = 1000
export const USER_HOME = '/home/user'

/** Who exists inside: both where a range of ids is there, `user` alone where there is only one id. */
export type Users = 'root-and-user' | 'user'

/** Where programs are looked for inside; never the caller's PATH. */
export const GUEST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** `/etc`, homes and empty places: what a Linux userland expects to find beside `/usr`. */
export function skeleton(users: Users): readonly Entry[] {
  const owner = users === 'root-and-user' ? USER_ID : 0
  return [
    ...['boot', 'dev', 'etc', 'home', 'media', 'mnt', 'opt', 'proc', 'run', 'srv', 'sys', 'usr', 'var'].map(directory),
    ...['cache', 'lib', 'local', 'log', 'mail', 'opt', 'spool'].map((name) => directory(`var/${name}`)),
    { path: 'tmp', directory: true, mode: 0o1777 },
    { path: 'var/tmp', directory: true, mode: 0o1777 },
    { path: 'var/run', link: '/run' },
    { path: 'var/lock', link: '/run/lock' },
    { path: 'root', directory: true, mode: 0o700 },
    { path: 'home/user', directory: true, mode: 0o755, uid: owner },
    { path: 'home/user/.bashrc', text: BASHRC, uid: owner },
    { path: 'etc/passwd', text: passwd(users) },
    { path: 'etc/group', text: group(users) },
    { path: 'etc/hosts', text: HOSTS },
    // The kernel knows the machine's own name.
    { path: 'etc/hostname', link: '/proc/sys/kernel/hostname' },
    { path: 'etc/resolv.conf', text: '' },
    { path: 'etc/nsswitch.conf', text: NSSWITCH },
    { path: 'etc/profile', text: PROFILE },
    { path: 'etc/shells', text: '/bin/sh\n/bin/bash\n' },
    { path: 'etc/os-release', link: '../usr/lib/os-release' },
    { path: 'etc/localtime', link: '/usr/share/zoneinfo/Etc/UTC' },
    { path: 'etc/timezone', text: 'Etc/UTC\n' },
    { path: 'etc/mtab', link: '/proc/self/mounts' },
    { path: 'etc/ssl', directory: true },
  ]
}

function directory(path: string): Entry {
  return { path, directory: true }
}

function passwd(users: Users): string {
  const root = users === 'root-and-user' ? 'root:x:0:0:root:/root:/bin/bash\n' : ''
  return `${root}user:x:${USER_ID}:${USER_ID}:user:${USER_HOME}:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`
}

function group(users: Users): string {
  const root = users === 'root-and-user' ? 'root:x:0:\ntty:x:5:\nstaff:x:50:\n' : ''
  return `${root}user:x:${USER_ID}:\nnogroup:x:65534:\n`
}

const HOSTS = `127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
`

const NSSWITCH = `passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
`

const PROFILE = `export PATH=${GUEST_PATH}
umask 022
if [ -n "\${BASH-}" ] && [ "$BASH" != /bin/sh ] && [ -n "\${PS1-}" ] && [ -r "$HOME/.bashrc" ]; then
  . "$HOME/.bashrc"
fi
`

const BASHRC = `case $- in *i*) ;; *) return ;; esac
PS1='\\u@\\h:\\w\\$ '
`
