/** Numbers of the gRPC status codes that Cove uses (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
export const GRPC = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const

interface CodeFacts {
  /** HTTP status that doors answer with. */
  readonly http: number
  /** gRPC and Connect status code. */
  readonly grpc: number
  /** True when the same call may succeed later without any change by the caller. */
  readonly transient: boolean
  /** What the reader can do now; an error may carry a more exact one. */
  readonly fix: string
}

/** The one registry. Every door renders these in its own dialect. */
export const ERROR_CODES = {
  'invalid-argument': {
    http: 400,
    grpc: GRPC.invalidArgument,
    transient: false,
    fix: 'Correct the named field and call again.',
  },
  unauthenticated: {
    http: 401,
    grpc: GRPC.unauthenticated,
    transient: false,
    fix: 'Send the API key as "Authorization: Bearer <key>"; `cove key show` prints the one of this machine.',
  },
  'permission-denied': {
    http: 403,
    grpc: GRPC.permissionDenied,
    transient: false,
    fix: 'Use a key that is allowed to do this.',
  },
  'sandbox-not-found': { http: 404, grpc: GRPC.notFound, transient: false, fix: 'List the sandboxes with `cove ls`.' },
  'sandbox-gone': {
    http: 410,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'Create a new sandbox; this one has ended.',
  },
  'container-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'See `docker ps --all` for the containers there are.',
  },
  'image-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'Check the name of the image and of its tag.',
  },
  'image-invalid': {
    http: 422,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'The image is damaged or hostile; get it from a place that you trust, or build it anew.',
  },
  'registry-unavailable': {
    http: 503,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'Try again later; what has arrived already is not fetched again.',
  },
  'kernel-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'List the kernels with `cove kernel ls`; `cove kernel build` or `cove kernel fetch` brings one.',
  },
  'kernel-invalid': {
    http: 422,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Remove it with `cove kernel rm`, and bring another with `cove kernel build` or `cove kernel fetch`.',
  },
  'kernel-build-failed': {
    http: 422,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Build again with `cove kernel build --verbose` to see every line, or take the kernel of the distribution with `cove kernel fetch`.',
  },
  'build-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'Start the build again; its logs are kept as long as its template.',
  },
  'build-failed': {
    http: 422,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Read the log of the build with `cove template logs <build>`, correct the step and build again.',
  },
  'start-failed': {
    http: 422,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: "Correct the template's start command or its ready check, or give it more time.",
  },
  'snapshot-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'List the snapshots with `cove snapshot ls`.',
  },
  'volume-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'List the volumes with `cove volume ls`, or make one with `cove volume create`.',
  },
  'template-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'Use `host`, or another that ListTemplates tells.',
  },
  'project-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'List the projects with `cove project ls`.',
  },
  'key-not-found': { http: 404, grpc: GRPC.notFound, transient: false, fix: 'List the keys with `cove key ls`.' },
  'process-not-found': {
    http: 404,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'List the processes with `cove ps <sandbox>`.',
  },
  'file-not-found': { http: 404, grpc: GRPC.notFound, transient: false, fix: 'Check the path inside the sandbox.' },
  'file-exists': {
    http: 409,
    grpc: GRPC.alreadyExists,
    transient: false,
    fix: 'Choose another path or remove the file first.',
  },
  'not-a-directory': { http: 400, grpc: GRPC.failedPrecondition, transient: false, fix: 'Name a directory.' },
  'is-a-directory': { http: 400, grpc: GRPC.failedPrecondition, transient: false, fix: 'Name a file.' },
  'directory-not-empty': {
    http: 409,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Remove recursively, or empty the directory first.',
  },
  'file-permission-denied': {
    http: 403,
    grpc: GRPC.permissionDenied,
    transient: false,
    fix: 'Act as another user of the sandbox, or change the mode of the file.',
  },
  'path-invalid': {
    http: 400,
    grpc: GRPC.invalidArgument,
    transient: false,
    fix: 'Use an absolute path of at most 4,095 bytes without NUL and with no name over 255 bytes.',
  },
  'symlink-loop': {
    http: 400,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Name the target of the link instead.',
  },
  'command-not-found': {
    http: 400,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'Check the program and the PATH inside the sandbox.',
  },
  'user-not-found': {
    http: 400,
    grpc: GRPC.notFound,
    transient: false,
    fix: 'Use a user that the sandbox has: `user`, and `root` where the daemon may map more than its own user id.',
  },
  'already-exists': { http: 409, grpc: GRPC.alreadyExists, transient: false, fix: 'Use another name or key.' },
  'wrong-state': {
    http: 409,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Look at the state with `cove get <sandbox>`.',
  },
  'stale-incarnation': {
    http: 409,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Read the sandbox again and use its current incarnation.',
  },
  'idempotency-conflict': {
    http: 409,
    grpc: GRPC.alreadyExists,
    transient: false,
    fix: 'Use a new idempotency key for a different request.',
  },
  'limit-not-enforceable': {
    http: 400,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Lower the limit, leave it out, or choose a driver that enforces it.',
  },
  'isolation-unavailable': {
    http: 400,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Run `cove doctor` to see what this machine can do and how to add the rest.',
  },
  'network-unavailable': {
    http: 400,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Use network `none` on this driver.',
  },
  'quota-exceeded': {
    http: 429,
    grpc: GRPC.resourceExhausted,
    transient: true,
    fix: 'Delete sandboxes that are no longer needed, or raise the limit of the project.',
  },
  'no-capacity': {
    http: 503,
    grpc: GRPC.resourceExhausted,
    transient: true,
    fix: 'Wait for running sandboxes to end, or ask for fewer resources.',
  },
  'limit-reached': {
    http: 429,
    grpc: GRPC.resourceExhausted,
    transient: true,
    fix: 'End something of the same kind first.',
  },
  'payload-too-large': {
    http: 413,
    grpc: GRPC.resourceExhausted,
    transient: false,
    fix: 'Send file content with PUT, in a stream of any size.',
  },
  'no-space': {
    http: 507,
    grpc: GRPC.resourceExhausted,
    transient: false,
    fix: 'Free space on the disk that is full, or give the sandbox a larger one.',
  },
  'connection-refused': {
    http: 502,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'Start the server inside the sandbox and check its port.',
  },
  'guest-unreachable': {
    http: 503,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'Try again; if it stays so, delete the sandbox.',
  },
  'guest-protocol': {
    http: 502,
    grpc: GRPC.internal,
    transient: false,
    fix: 'Delete the sandbox and create a new one; the guest agent speaks something else.',
  },
  busy: {
    http: 503,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'The sandbox is being saved; call again in a moment.',
  },
  'stale-session': {
    http: 409,
    grpc: GRPC.aborted,
    transient: true,
    fix: 'Another daemon has taken over this machine.',
  },
  'driver-failed': {
    http: 500,
    grpc: GRPC.internal,
    transient: false,
    fix: 'Run `cove doctor`; the log of the daemon has the details.',
  },
  'launcher-unavailable': {
    http: 503,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'Restart Cove with `cove down` and `cove up`.',
  },
  'deadline-exceeded': { http: 504, grpc: GRPC.deadlineExceeded, transient: true, fix: 'Allow more time.' },
  cancelled: { http: 499, grpc: GRPC.cancelled, transient: true, fix: 'The caller went away; call again.' },
  'store-conflict': { http: 409, grpc: GRPC.aborted, transient: true, fix: 'Read again and repeat.' },
  'store-compacted': {
    http: 410,
    grpc: GRPC.outOfRange,
    transient: false,
    fix: 'Read the whole state again and watch from its revision.',
  },
  'store-locked': {
    http: 503,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Stop the other Cove that uses this data directory, or choose another with --data-dir.',
  },
  'store-corrupt': {
    http: 500,
    grpc: GRPC.dataLoss,
    transient: false,
    fix: 'Restore the file from a backup, or move it away to start empty. It was left untouched.',
  },
  'store-too-new': {
    http: 500,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Use the Cove version that wrote the file, or a later one. It was left untouched.',
  },
  'store-closed': {
    http: 503,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'Cove is stopping; call again when it is back.',
  },
  'lease-not-found': { http: 404, grpc: GRPC.notFound, transient: false, fix: 'Grant a new lease.' },
  'config-invalid': {
    http: 400,
    grpc: GRPC.invalidArgument,
    transient: false,
    fix: 'Correct the value; `cove config view` shows where each one comes from.',
  },
  'address-in-use': {
    http: 500,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Choose another address, such as --listen 127.0.0.1:8090, or stop what uses this one.',
  },
  'already-running': {
    http: 500,
    grpc: GRPC.failedPrecondition,
    transient: false,
    fix: 'Use the one that runs (`cove status`), or stop it with `cove down`.',
  },
  'daemon-not-running': {
    http: 503,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'Start Cove with `cove up` (or `cove up --detach`).',
  },
  'connection-lost': {
    http: 502,
    grpc: GRPC.unavailable,
    transient: true,
    fix: 'Look with `cove status` whether Cove still runs, then call again.',
  },
  unsupported: {
    http: 501,
    grpc: GRPC.unimplemented,
    transient: false,
    fix: 'Choose a driver that has this capability.',
  },
  'rate-limited': {
    http: 429,
    grpc: GRPC.resourceExhausted,
    transient: true,
    fix: 'Slow down and honour Retry-After.',
  },
  'io-error': { http: 500, grpc: GRPC.internal, transient: false, fix: 'Look at the cause in the message.' },
  internal: {
    http: 500,
    grpc: GRPC.internal,
    transient: false,
    fix: 'This is a fault in Cove: please report it with the request id from the log.',
  },
} as const satisfies Record<string, CodeFacts>

/** What went wrong, in a word that programs can rely on. */
export type ErrorCode = keyof typeof ERROR_CODES

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text)
}
