import type { Command } from 'commander'
import type { Context } from '../context.ts'

/** Wraps a command's work, so that its answer becomes the exit status. */
export type Run = (work: () => Promise<number>) => Promise<void>

export interface CommandModule {
  readonly define: (command: Command, context: Context, run: Run) => void
}

export interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly group: string
  /** About this machine: an address, a context or a project means nothing to it. */
  readonly local?: boolean
  /** Not for people. */
  readonly hidden?: boolean
  readonly load: () => Promise<CommandModule>
}

const RUN = 'Run code:'
const SANDBOXES = 'Sandboxes:'
const INSIDE = 'Inside a sandbox:'
const AGENTS = 'For agents:'
const ACCESS = 'Access:'
const INSTALLATION = 'This machine:'
const OTHERS = 'The command line:'

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'run',
    summary: 'run a command in a new sandbox and remove it',
    group: RUN,
    load: () => import('./run.ts'),
  },
  { name: 'exec', summary: 'run a command in a sandbox', group: RUN, load: () => import('./exec.ts') },
  { name: 'shell', summary: 'open a terminal in a sandbox', group: RUN, load: () => import('./shell.ts') },
  { name: 'create', summary: 'create a sandbox', group: SANDBOXES, load: () => import('./create.ts') },
  { name: 'ls', summary: 'list sandboxes', group: SANDBOXES, load: () => import('./ls.ts') },
  { name: 'get', summary: 'show one sandbox', group: SANDBOXES, load: () => import('./get.ts') },
  {
    name: 'stop',
    summary: 'end what runs in sandboxes and keep their disks',
    group: SANDBOXES,
    load: () => import('./stop.ts'),
  },
  { name: 'start', summary: 'start stopped sandboxes again', group: SANDBOXES, load: () => import('./start.ts') },
  {
    name: 'pause',
    summary: 'freeze sandboxes with all that runs in them',
    group: SANDBOXES,
    load: () => import('./pause.ts'),
  },
  { name: 'resume', summary: 'let paused sandboxes go on', group: SANDBOXES, load: () => import('./resume.ts') },
  {
    name: 'fork',
    summary: 'make children that go on from where a sandbox is',
    group: SANDBOXES,
    load: () => import('./fork.ts'),
  },
  { name: 'stats', summary: 'show what a sandbox uses now', group: SANDBOXES, load: () => import('./stats.ts') },
  {
    name: 'resize',
    summary: 'change limits of a running sandbox',
    group: SANDBOXES,
    load: () => import('./resize.ts'),
  },
  { name: 'rm', summary: 'delete sandboxes', group: SANDBOXES, load: () => import('./rm.ts') },
  {
    name: 'template',
    summary: 'build, list and delete what sandboxes start from',
    group: SANDBOXES,
    load: () => import('./template.ts'),
  },
  {
    name: 'snapshot',
    summary: 'save sandboxes, list and delete what is saved',
    group: SANDBOXES,
    load: () => import('./snapshot.ts'),
  },
  {
    name: 'volume',
    summary: 'make, list and delete directories that outlive sandboxes',
    group: SANDBOXES,
    load: () => import('./volume.ts'),
  },
  {
    name: 'image',
    summary: 'what the node keeps of images: list, pull and remove them',
    group: SANDBOXES,
    load: () => import('./image.ts'),
  },
  {
    name: 'pool',
    summary: 'keep machines ready for sandboxes to come',
    group: SANDBOXES,
    load: () => import('./pool.ts'),
  },
  { name: 'cp', summary: 'copy files into and out of a sandbox', group: INSIDE, load: () => import('./cp.ts') },
  { name: 'ps', summary: 'list processes of a sandbox', group: INSIDE, load: () => import('./ps.ts') },
  { name: 'logs', summary: 'show output of a process', group: INSIDE, load: () => import('./logs.ts') },
  { name: 'kill', summary: 'send a signal to a process', group: INSIDE, load: () => import('./kill.ts') },
  {
    name: 'forward',
    summary: 'bring ports of a sandbox to this machine',
    group: INSIDE,
    load: () => import('./forward.ts'),
  },
  { name: 'ports', summary: 'list, open and share ports', group: INSIDE, load: () => import('./ports.ts') },
  {
    name: 'sign',
    summary: 'print an address that reads or writes one file without a key',
    group: INSIDE,
    load: () => import('./sign.ts'),
  },
  {
    name: 'mcp',
    summary: 'speak the Model Context Protocol on stdin and stdout',
    group: AGENTS,
    load: () => import('./mcp.ts'),
  },
  { name: 'key', summary: 'make, list and revoke API keys', group: ACCESS, load: () => import('./key.ts') },
  { name: 'token', summary: 'make a token that opens one sandbox', group: ACCESS, load: () => import('./token.ts') },
  { name: 'project', summary: 'make, list and delete projects', group: ACCESS, load: () => import('./project.ts') },
  { name: 'audit', summary: 'show who did what, and when', group: ACCESS, load: () => import('./audit.ts') },
  {
    name: 'up',
    summary: 'set this machine up and start Cove',
    group: INSTALLATION,
    local: true,
    load: () => import('./up.ts'),
  },
  { name: 'down', summary: 'stop Cove', group: INSTALLATION, local: true, load: () => import('./down.ts') },
  { name: 'status', summary: 'show what runs', group: INSTALLATION, local: true, load: () => import('./status.ts') },
  {
    name: 'doctor',
    summary: 'prove every driver and say how to get the missing ones',
    group: INSTALLATION,
    local: true,
    load: () => import('./doctor.ts'),
  },
  {
    name: 'setup',
    summary: 'install and build what `up` needs, without starting',
    group: INSTALLATION,
    local: true,
    load: () => import('./setup.ts'),
  },
  {
    name: 'kernel',
    summary: 'kernels that virtual machines boot: build, fetch, list and remove them',
    group: INSTALLATION,
    local: true,
    load: () => import('./kernel.ts'),
  },
  {
    name: 'proc',
    summary: 'run processes of this machine that outlive the shell',
    group: INSTALLATION,
    local: true,
    load: () => import('./proc.ts'),
  },
  {
    name: '__supervise',
    summary: 'the program beside a process of `cove proc`',
    group: INSTALLATION,
    hidden: true,
    local: true,
    load: () => import('./supervise.ts'),
  },
  {
    name: 'config',
    summary: 'show the configuration',
    group: INSTALLATION,
    local: true,
    load: () => import('./config.ts'),
  },
  {
    name: 'init',
    summary: "write a project's cove.yaml",
    group: OTHERS,
    local: true,
    load: () => import('./init.ts'),
  },
  {
    name: 'context',
    summary: 'choose which Cove is talked to',
    group: OTHERS,
    local: true,
    load: () => import('./context.ts'),
  },
  {
    name: 'completion',
    summary: 'complete commands and names with Tab',
    group: OTHERS,
    local: true,
    load: () => import('./completion.ts'),
  },
  {
    name: '__complete',
    summary: 'names for the scripts of `cove completion`',
    group: OTHERS,
    hidden: true,
    local: true,
    load: () => import('./complete.ts'),
  },
  { name: 'version', summary: 'show the version', group: OTHERS, local: true, load: () => import('./version.ts') },
]
