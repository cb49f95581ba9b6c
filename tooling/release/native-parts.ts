import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What is linked into the guest program besides Cove's own code. */
export interface NativePart {
  readonly name: string
  readonly version: string
  /** SPDX expression. */
  readonly license: string
  /** Files with its licence, below the toolchain's root. */
  readonly texts: readonly string[]
  readonly note: string
}

/** From the toolchain that built the guest programs; see debian-toolchain.sh. */
export function nativeParts(toolchain: string): readonly NativePart[] {
  const versions = new Map(
    readFileSync(join(toolchain, 'versions.txt'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' '))
      .map(([name = '', , version = '']) => [name, version]),
  )
  const version = (name: string): string => {
    const found = versions.get(name)
    if (found === undefined) throw new Error(`the toolchain has no ${name}`)
    return found
  }
  return [
    {
      name: 'rust-std',
      version: version('libstd-rust-dev'),
      license: 'MIT OR Apache-2.0',
      texts: [],
      note: 'The Rust standard library, used under the Apache License 2.0, which stands in the file LICENSE of this package.',
    },
    {
      name: 'glibc',
      version: version('libc6-dev'),
      license: 'LGPL-2.1-or-later',
      texts: ['usr/share/common-licenses/LGPL-2.1'],
      note:
        'The GNU C Library, linked statically. The complete source of the guest program and the scripts that build and ' +
        'link it are in the repository of Cove (guest, tooling/release), so that it can be linked with another version.',
    },
    {
      name: 'libgcc',
      version: version('libgcc-12-dev'),
      license: 'GPL-3.0-or-later WITH GCC-exception-3.1',
      texts: [],
      note: 'The runtime library of the GNU Compiler Collection; its exception sets no conditions on programs linked with it.',
    },
  ]
}
