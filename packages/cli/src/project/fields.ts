import { ISOLATIONS } from '@cove/domain'
import { allowed, amount, choice, scalar, size, text, timeout, whole } from './field.ts'

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

/** Everything that `cove.yaml` may say, in the order in which it is written. */
export const FIELDS = {
  name: text('name of the sandbox that `cove create` makes', NAME, 'a to z, 0 to 9 and dash, at most 63'),
  template: text('what the sandbox starts from'),
  isolation: choice('the weakest wall that is acceptable', ISOLATIONS),
  driver: text('a certain driver'),
  network: choice('what it may reach', ['none', 'internet']),
  allow: {
    about: 'addresses and names besides that it may reach with network internet',
    item: allowed('such as 10.1.2.3, 10.1.0.0/16:443 or db.example.com:5432'),
  },
  ports: { about: 'ports that `cove forward` brings to this machine', item: whole('a TCP port', 65_535) },
  env: { about: 'variables for everything inside', value: scalar('value of the variable') },
  labels: { about: 'labels of the sandbox', value: scalar('value of the label') },
  limits: {
    about: 'limits that are enforced, or the create is refused',
    fields: {
      memory: size('memory, such as 512MiB'),
      cpus: amount('processors, such as 0.5'),
      processes: whole('processes and threads together', 1_000_000),
      disk: size('space on its disk, such as 1GiB'),
    },
  },
  timeouts: {
    about: 'when it ends by itself',
    fields: {
      idle: timeout('so long after the last activity, such as 30m, or never'),
      lifetime: timeout('so long after its start in any case, or never'),
    },
  },
  copy: {
    about: 'files of this directory that are copied in first, as <path> (into the home directory) or <path>:<target>',
    item: text('a path below this file'),
  },
  setup: { about: 'commands that are run in a new sandbox, one after another, by its shell', item: text('a command') },
} as const
