import { stringify } from 'yaml'
import type { Guess } from './detect.ts'

export interface Answers extends Omit<Guess, 'because'> {
  readonly template: string
  /** As it is written: `30m`, or `never`. */
  readonly idle: string
}

/** The text of a `cove.yaml`, with what it may say besides as comments. */
export function projectText(answers: Answers): string {
  const { name, template, network, ports, copy, setup, idle } = answers
  return [
    '# What this project wants of its sandboxes. `cove create`, `cove run` and `cove shell` read it here and in every',
    '# directory below; options on the command line count more. Every setting: docs/project-file.md',
    '',
    '# `cove create` makes the sandbox by this name.',
    line('name', name),
    line('template', template),
    '',
    '# `none`, or `internet`, which leaves out this host and private networks; `allow` names exceptions.',
    line('network', network),
    '# allow: [10.1.2.3:5432, db.example.com]',
    '',
    '# `cove forward` without ports brings these to this machine.',
    ports.length === 0 ? '# ports: [8000]' : `ports: [${ports.join(', ')}]`,
    '',
    '# env:',
    '#   DEBUG: 1',
    '',
    '# Limits that are named are enforced, or the sandbox is refused.',
    '# limits: {memory: 1GiB, cpus: 1, processes: 256, disk: 2GiB}',
    '',
    '# It ends so long after the last activity.',
    'timeouts:',
    `  idle: ${idle}`,
    '',
    '# Copied into the home directory of a new sandbox, or to where <path>:<target> says.',
    block('copy', copy, '# copy: [src]'),
    '# Run in a new sandbox, one after another.',
    block('setup', setup, '# setup: [make]'),
  ]
    .join('\n')
    .replace(/\n+$/, '\n')
}

const line = (key: string, value: string): string => stringify({ [key]: value }, { lineWidth: 0 }).trimEnd()

function block(key: string, items: readonly string[], otherwise: string): string {
  return items.length === 0 ? `${otherwise}\n` : stringify({ [key]: items }, { lineWidth: 0 })
}
