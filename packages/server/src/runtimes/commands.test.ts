import { expect, it } from 'vitest'
import { parseInstaller, parseInterpreter } from './commands.ts'

it('an interpreter is an absolute path', () => {
  expect(parseInterpreter('/opt/venv-3.11/bin/python', 'x')).toBe('/opt/venv-3.11/bin/python')
  for (const bad of ['', 'python3', './python', '/bin/sh -c', '/bin/a;b', '/opt/', '/a\nb', `/${'a'.repeat(2000)}`]) {
    expect(() => parseInterpreter(bad, 'python')).toThrow(
      expect.objectContaining({ code: 'config-invalid', context: { field: 'python' } }),
    )
  }
})

it('an installer is an absolute path with plain arguments', () => {
  expect(parseInstaller(' /opt/venv/bin/pip  install --index-url=https://a.b/simple', 'x')).toEqual([
    '/opt/venv/bin/pip',
    'install',
    '--index-url=https://a.b/simple',
  ])
  const tooMany = `/bin/pip${' install'.repeat(40)}`
  for (const bad of ['', 'pip install', '/bin/pip install; id', '/bin/pip "install"', '/bin/pip $HOME', tooMany]) {
    expect(() => parseInstaller(bad, 'python')).toThrow(expect.objectContaining({ code: 'config-invalid' }))
  }
})
