import { describe, expect, it } from 'vitest'
import { codeOf, type RunnerStage, SUCCESS } from './runner-stage.ts'
import type { RunnerCapabilities, RunnerRig } from './runner-subject.ts'

export function environmentChapter(
  open: () => Promise<RunnerStage>,
  openRig: () => Promise<RunnerRig>,
  capabilities: RunnerCapabilities,
): void {
  describe('variables', () => {
    it('of the process go before those of the environment, later ones before earlier ones', async () => {
      await using stage = await open()
      stage.environment.withEnvironment({ A: 'first', B: 'environment', C: 'environment' })
      stage.environment.withEnvironment({ A: 'environment' })
      const proc = await stage.shell('echo "$A $B $C $D"')
      proc.withEnvironment({ B: 'first', C: 'process' }).withEnvironment({ B: 'process', D: 'a  b=c "d"' })
      const said: string[] = []
      proc.withOutput((line) => void said.push(line.text))
      await proc.run()
      expect(said).toEqual(['environment process process a  b=c "d"'])
      expect(await stage.say('echo "$A $B $C$D"')).toBe('environment environment environment\n')
    })

    it('are appended to what they would be otherwise', async () => {
      await using stage = await open()
      stage.environment.withEnvironment({ LIST: 'environment' })
      const proc = await stage.shell('echo "$LIST|$NEW|$PATH"')
      proc.withEnvironmentAppended('LIST', 'one', ':').withEnvironmentAppended('LIST', 'two', ',')
      proc.withEnvironmentAppended('NEW', 'x', ':').withEnvironmentAppended('PATH', '/added', ':')
      const said: string[] = []
      proc.withOutput((line) => void said.push(line.text))
      expect(await proc.run()).toEqual(SUCCESS)
      expect(said[0]).toMatch(/^environment:one,two\|x\|.*\/bin.*:\/added$/)
    })

    it.runIf(capabilities.inheritsVariables)('of this program are the lowest layer', async () => {
      process.env['COVE_TEST_LAYER'] = 'host'
      try {
        await using stage = await open()
        expect(await stage.say('echo $COVE_TEST_LAYER')).toBe('host\n')
        stage.environment.withEnvironment({ COVE_TEST_LAYER: 'environment' })
        expect(await stage.say('echo $COVE_TEST_LAYER')).toBe('environment\n')
      } finally {
        delete process.env['COVE_TEST_LAYER']
      }
    })

    it('that no process could have are refused', async () => {
      await using stage = await open()
      const proc = await stage.shell('true')
      for (const variables of [{ '': 'x' }, { 'A=B': 'x' }, { A: 'x\0' }]) {
        const wanted = expect.objectContaining({ code: 'invalid-argument' })
        expect(() => stage.environment.withEnvironment(variables)).toThrow(wanted)
        expect(() => proc.withEnvironment(variables)).toThrow(wanted)
      }
    })
  })

  describe('programs', () => {
    it('get their arguments as they are', async () => {
      await using stage = await open()
      const words = ['', ' ', 'a b', '$HOME', '*', '"', "'", '\\', '-x', 'ü\n']
      expect(await stage.say('for word; do printf "[%s]" "$word"; done', ...words)).toBe(
        `${words.map((word) => `[${word}]`).join('')}\n`,
      )
      expect(await codeOf(() => stage.environment.newProcess('sh', 'a\0b'))).toBe('invalid-argument')
      expect(await codeOf(() => stage.environment.newProcess(''))).toBe('invalid-argument')
    })

    it('that are not there are told', async () => {
      await using stage = await open()
      const { environment } = stage
      for (const program of ['cove-no-such-program', '/no/such/program', './no-such']) {
        const told: string[] = []
        const start = async (): Promise<void> => {
          const proc = await environment.newProcess(program)
          told.push(await codeOf(() => proc.start()), await codeOf(() => proc.wait()))
        }
        told.push(await codeOf(start))
        const missing = 'command-not-found'
        const atOnce = capabilities.programsAreLookedUp === 'at once'
        expect(told).toEqual(atOnce ? [missing] : [missing, missing, 'no error'])
      }
      expect(await codeOf(() => environment.withBinary('cove-no-such-program'))).toBe('command-not-found')
      await environment.withBinary('sh')
      expect(await stage.say('echo fine')).toBe('fine\n')
    })

    it.runIf(capabilities.takesForeignBinaries)('are made visible by their folder, in front of the PATH', async () => {
      await using stage = await open()
      const { directory, environment } = stage.rig
      const script = 'mkdir "$1/bin"; printf "#!/bin/sh\\necho mine\\n" > "$1/bin/mine"; chmod 755 "$1/bin/mine"'
      await stage.say(script, directory)
      expect(await codeOf(() => environment.newProcess('mine'))).toBe('command-not-found')
      const before = await stage.say('echo "$PATH"')
      await environment.withBinary(`${directory}/bin/mine`)
      await environment.withBinary('mine')
      expect(await stage.say('echo "$PATH"')).toBe(`${directory}/bin:${before}`)
      expect(await stage.say('mine')).toBe('mine\n')
      expect(await (await environment.newProcess('mine')).run()).toEqual(SUCCESS)
    })
  })

  describe('the directory', () => {
    it('is the environment’s, or the process’s own, also relative to it', async () => {
      await using stage = await open()
      const { directory } = stage.rig
      await stage.say('mkdir "$1/inner dir"', directory)
      const where = async (say: string | undefined): Promise<string> => {
        const proc = await stage.shell('pwd')
        if (say !== undefined) proc.withDirectory(say)
        const said: string[] = []
        proc.withOutput((line) => void said.push(line.text))
        expect(await proc.run()).toEqual(SUCCESS)
        return said.join('\n')
      }
      expect(await where(undefined)).toBe(directory)
      expect(await where('inner dir')).toBe(`${directory}/inner dir`)
      expect(await where('/')).toBe('/')
    })

    it('that is not there, or is none, is told', async () => {
      await using stage = await open()
      for (const directory of ['no/such', '/no/such', '/etc/passwd']) {
        const proc = (await stage.shell('true')).withDirectory(directory)
        expect(await codeOf(() => proc.start())).toBe('path-invalid')
      }
      const proc = await stage.shell('true')
      expect(() => proc.withDirectory('')).toThrow(expect.objectContaining({ code: 'path-invalid' }))
    })
  })

  describe('an environment', () => {
    it('says what it is, is ready twice and shut down twice, and does nothing afterwards', async () => {
      await using rig = await openRig()
      const { environment } = rig
      await environment.stop()
      await Promise.all([environment.init(), environment.init()])
      await environment.init()
      expect(environment.description).toContain(environment.backend)
      const waiting = await environment.newProcess('sh', '-c', 'sleep 1000')
      await waiting.start()
      await Promise.all([environment.shutdown(), environment.shutdown()])
      await environment.shutdown()
      expect(await waiting.isRunning()).toBe(false)
      expect(await codeOf(() => environment.init())).toBe('wrong-state')
      expect(await codeOf(() => environment.newProcess('sh'))).toBe('wrong-state')
    })

    it('has everything of a process said before its start, and its start once', async () => {
      await using stage = await open()
      const proc = await stage.shell('exit 0')
      expect(await codeOf(() => proc.wait())).toBe('wrong-state')
      proc.stdinPipe().end()
      proc.stdoutPipe().resume()
      const wrong = expect.objectContaining({ code: 'wrong-state' })
      expect(() => proc.stdinPipe()).toThrow(wrong)
      expect(() => proc.stdoutPipe()).toThrow(wrong)
      await proc.start()
      for (const late of [
        () => proc.withDirectory('/'),
        () => proc.withEnvironment({}),
        () => proc.withEnvironmentAppended('A', 'b', ':'),
        () => proc.withOutput(() => {}),
        () => proc.withWaitOn('sh'),
        () => proc.stdinPipe(),
      ]) {
        expect(late).toThrow(wrong)
      }
      expect(await codeOf(() => proc.start())).toBe('wrong-state')
      expect(await proc.wait()).toEqual(SUCCESS)
    })
  })
}
