import { expect, it } from 'vitest'
import { whyItEnded } from './detach.ts'

it('repeats the error of a daemon that could not start, without its log', () => {
  const output = '{"level":30,"msg":"x"}\nerror: 127.0.0.1:8080 is in use already\nfix: Choose another address.\n'
  expect(whyItEnded(output, '/d/daemon.log')).toMatchObject({
    message: '127.0.0.1:8080 is in use already',
    fix: 'Choose another address.',
  })
})

it('shows the last lines of one that said nothing', () => {
  const { message, fix } = whyItEnded('{"level":30}\nKilled\n', '/d/daemon.log')
  expect(message).toBe('the daemon ended before it was ready:\n{"level":30}\nKilled')
  expect(fix).toContain('/d/daemon.log')
})
