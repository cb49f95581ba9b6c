import { amount, choice, command, scalar, size, text, time, whole } from '../project/field.ts'

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?)?$/
const OWNER = /^\d{1,10}(?::\d{1,10})?$/

const LIMITS = {
  memory: size('memory, such as 512MiB'),
  cpus: amount('processors, such as 0.5'),
  processes: whole('processes and threads together', 1_000_000),
  disk: size('space on its disk, such as 1GiB'),
}

/** Everything that `cove.template.yaml` may say, in the order in which it is written. */
export const TEMPLATE_FIELDS = {
  name: text('name of the template, or name:tag', NAME, 'a to z, 0 to 9 and dash, at most 63, or that with :tag'),
  description: text('for people'),
  source: text('what it starts from: host, a source such as oci:alpine:3.20 or debian:bookworm+python3, or a template'),
  network: choice('what the steps can reach', ['none', 'internet']),
  steps: {
    about: 'what is done over the source, one after another',
    item: {
      about: 'one of run, copy, env, workdir and user',
      fields: {
        run: text('a command for the shell of the image; root unless `user` says otherwise'),
        copy: text('files below the directory of this file, as <path>:<target>'),
        owner: text('with copy: whose they are, as <uid> or <uid>:<gid>; default root', OWNER, '<uid> or <uid>:<gid>'),
        ignore: { about: 'with copy: patterns of what is left out', item: text('a pattern, as in .coveignore') },
        env: { about: 'variables for later steps and for sandboxes', value: scalar('value of the variable') },
        workdir: text('where later steps and sandboxes start'),
        user: text('whose processes they are: a name or a number, with :group or without'),
      },
    },
  },
  start: {
    about: 'what runs in every sandbox from its start on',
    fields: {
      command: command('the program; it goes on running'),
      ready: {
        about: 'when it counts as ready: one of port and command',
        fields: {
          port: whole('something listens on this TCP port', 65_535),
          command: command('this ends with 0'),
          timeout: time('so long it may take, such as 30s; default 1m'),
        },
      },
    },
  },
  limits: { about: 'what sandboxes have unless they ask for something else', fields: LIMITS },
  memory: choice('kept as a memory snapshot with its start command running, for sandboxes with this network', [
    'none',
    'internet',
  ]),
  build: {
    about: 'how it is built',
    fields: { driver: text('a certain driver'), limits: { about: 'limits of the steps', fields: LIMITS } },
  },
} as const
