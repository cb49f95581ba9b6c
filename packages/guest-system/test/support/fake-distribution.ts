import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROGRAM_FOLDERS } from '../../src/tools/find-program.ts'
import { bzImage, elfKernel, kernelModule } from './images.ts'

/** How a build of the fake source goes. */
export type BuildManner = 'well' | 'fails' | 'disk-full' | 'goes-on'

const RELEASE = '6.1.0-9-cloud-amd64'
export const IMAGE_PACKAGE = `linux-image-${RELEASE}`

/** A distribution with a kernel of a few bytes: its package tools and compilers are scripts, its packages are tar files. */
export class FakeDistribution {
  readonly #root: string
  /** Where its programs are, before the real ones. */
  readonly programFolders: readonly string[]

  constructor(root: string) {
    this.#root = root
    const programs = join(root, 'programs')
    this.programFolders = [programs, ...PROGRAM_FOLDERS]
    mkdirSync(programs, { recursive: true })
    mkdirSync(join(root, 'packages'))
    for (const [name, script] of Object.entries(scripts(root))) {
      writeFileSync(join(programs, name), `#!/bin/sh\n${script}\n`)
      chmodSync(join(programs, name), 0o755)
    }
  }

  /** What was asked of its programs, one call a line. */
  get calls(): string[] {
    const log = join(this.#root, 'calls')
    return existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []
  }

  forgetCalls(): void {
    rmSync(join(this.#root, 'calls'), { force: true })
  }

  /** Publishes a kernel's package. Its modules are those that every guest needs, unless they are named. */
  publishImage(version: string, { kernel = elfKernel(version), modules = MODULES } = {}): void {
    const tree = join(this.#root, 'tree')
    const modulesFolder = join(tree, 'lib/modules', RELEASE, 'kernel/drivers')
    mkdirSync(modulesFolder, { recursive: true })
    mkdirSync(join(tree, 'boot'))
    writeFileSync(join(tree, 'boot', `vmlinuz-${RELEASE}`), bzImage(Buffer.concat([kernel, Buffer.alloc(4)])))
    writeFileSync(join(tree, 'boot', `config-${RELEASE}`), 'CONFIG_SMP=y\n')
    for (const [name, depends] of Object.entries(modules)) {
      writeFileSync(join(modulesFolder, `${name}.ko`), kernelModule({ depends }))
    }
    this.#pack(IMAGE_PACKAGE, tree)
    this.#describe('linux-image-cloud-amd64', version, IMAGE_PACKAGE)
    this.#describe(IMAGE_PACKAGE, version, 'kmod, linux-base (>= 4.3~)')
  }

  publishSource(version: string, manner: BuildManner): void {
    const inner = join(this.#root, 'source/linux-source-6.1')
    mkdirSync(join(inner, 'arch/x86/mm'), { recursive: true })
    writeFileSync(join(inner, 'arch/x86/mm/init.c'), 'free_reserved_area(begin, end, POISON_FREE_INITMEM, what);\n')
    writeFileSync(join(inner, 'manner'), manner)
    writeFileSync(join(inner, 'kernel'), elfKernel(`built from ${version}`))
    const tree = join(this.#root, 'tree')
    mkdirSync(join(tree, 'usr/src'), { recursive: true })
    const archive = join(tree, 'usr/src/linux-source-6.1.tar.gz')
    execFileSync('tar', ['-czf', archive, '-C', join(this.#root, 'source'), 'linux-source-6.1'])
    rmSync(join(this.#root, 'source'), { recursive: true })
    this.#pack('linux-source-6.1', tree)
    this.#describe('linux-source-6.1', version, 'binutils, xz-utils')
  }

  /** Cuts a package short, as a transfer that was broken off. */
  truncate(name: string): void {
    const file = join(this.#root, 'packages', `${name}.deb`)
    writeFileSync(file, readFileSync(file).subarray(0, 700))
  }

  #pack(name: string, tree: string): void {
    execFileSync('tar', ['-cf', join(this.#root, 'packages', `${name}.deb`), '-C', tree, '.'])
    rmSync(tree, { recursive: true })
  }

  #describe(name: string, version: string, depends: string): void {
    const text = `Package: ${name}\nVersion: ${version}\nDepends: ${depends}\n`
    writeFileSync(join(this.#root, 'packages', `${name}.txt`), text)
  }
}

/** By what each depends on. */
export const MODULES: Readonly<Record<string, string>> = {
  virtio: '',
  virtio_mmio: 'virtio',
  virtio_blk: 'virtio',
  virtio_console: 'virtio',
  virtio_net: 'virtio',
  ext4: '',
  erofs: '',
  overlay: '',
}

function scripts(root: string): Record<string, string> {
  const packages = join(root, 'packages')
  const logged = (text: string) => `echo "$(basename "$0") $*" >> ${join(root, 'calls')}\n${text}`
  const version = logged(`echo "fake $(basename "$0") 1.0"`)
  return {
    'apt-cache': logged(`for name; do :; done; cat "${packages}/$name.txt"`),
    'apt-get': logged(`for name; do :; done; cp "${packages}/$name.deb" "$name""_1_all.deb"`),
    'dpkg-deb': logged('mkdir "$3" && tar -xf "$2" -C "$3"'),
    'dpkg-query': logged('exit 1'),
    gcc: version,
    ld: version,
    flex: version,
    bison: version,
    bc: version,
    strip: 'exit 0',
    make: logged(MAKE),
  }
}

/** As the kernel's own `make` writes its lines and files. */
const MAKE = `
for word; do
  case $word in
    KCONFIG_ALLCONFIG=*) config=\${word#*=} ;;
    allnoconfig) cp "$config" .config ;;
    kernelrelease) echo 6.1.7-cove ;;
    vmlinux)
      for name in a b c; do echo "  CC      kernel/$name.o"; done
      case $(cat manner) in
        well) cp kernel vmlinux ;;
        fails) echo "kernel/a.c:1: error: nothing is right"; exit 2 ;;
        disk-full) echo "fatal error: error writing to kernel/a.o: No space left on device" >&2; exit 1 ;;
        goes-on)
          sleep 1000 &
          echo "a child of the build: $!"
          while :; do echo "  CC      kernel/more.o"; sleep 0.05; done ;;
      esac ;;
  esac
done`

/** Puts a kernel and its modules where a distribution installs them. */
export function installKernel(
  root: string,
  release: string,
  modules: Readonly<Record<string, string>> = MODULES,
): void {
  mkdirSync(join(root, 'boot'), { recursive: true })
  writeFileSync(join(root, 'boot', `vmlinuz-${release}`), elfKernel(release))
  appendFileSync(join(root, 'boot', `config-${release}`), 'CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y\nCONFIG_SMP=y\n')
  const folder = join(root, 'modules', release, 'kernel')
  mkdirSync(folder, { recursive: true })
  for (const [name, depends] of Object.entries(modules)) {
    writeFileSync(join(folder, `${name}.ko`), kernelModule({ depends }))
  }
}
