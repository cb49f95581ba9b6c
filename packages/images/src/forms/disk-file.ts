import { open, rename, rm, stat } from 'node:fs/promises'
import { CoveError } from '@cove/domain'
import { findProgram } from '../sources/find-program.ts'
import { runTool } from '../sources/run-tool.ts'
import { workFolder } from '../sources/work-folder.ts'
import type { DiskFormat } from '../store/disk-formats.ts'
import { diskFile, layerFolder } from '../store/folders.ts'
import { stackOf } from '../store/lease.ts'
import type { HeldImage } from '../store/keep-image.ts'
import type { StoreParts } from '../store/parts.ts'

const PROGRAMS = {
  erofs: { name: 'mkfs.erofs', package: 'erofs-utils' },
  ext4: { name: 'mke2fs', package: 'e2fsprogs' },
} as const
/** The same image gives the same erofs file; `mke2fs` also writes when its files came to this disk. */
const FIXED_ID = 'c0fec0fe-c0fe-40fe-80fe-c0fec0fec0fe'
/** Of the file system itself. */
const SPARE_ENTRIES = 1_024
const MIB = 2 ** 20

/**
 * A file with the whole root in it: its layers are laid over each other in a mount namespace of its own, from which the
 * tool of the file system reads. The file stays with the image.
 */
export async function makeDiskFile(
  parts: StoreParts,
  image: HeldImage,
  format: DiskFormat,
  signal: AbortSignal,
): Promise<string> {
  const { info, number } = image.record
  const path = diskFile(parts.folders, number, format)
  if (await isThere(path)) return path
  if (info.base === 'host') {
    throw new CoveError(
      'unsupported',
      'an image that lies over the programs of the host is no root of its own',
      {},
      {
        fix: 'Use an image that has its own programs, for example one from a registry.',
      },
    )
  }
  const { tool, unshare } = await tools(format)
  await using work = await workFolder(parts)
  const aside = `${path}.new`
  try {
    await parts.step('make a disk file')
    if (format === 'ext4') await makeSparse(aside, sizeOf(parts, image))
    await runTool({
      program: unshare,
      args: [
        '--mount',
        '--propagation',
        'private',
        '/bin/sh',
        '-c',
        SCRIPT,
        'sh',
        lowerFolders(parts, image),
        work.path,
        tool,
        ...argsFor(format, aside, work.path, entriesOf(parts, image)),
      ],
      // Names of the layers are short below this folder: all have to fit into the options of one mount.
      cwd: parts.folders.base,
      env: { E2FSPROGS_FAKE_TIME: '1', SOURCE_DATE_EPOCH: '1' },
      signal,
      line: () => {},
    })
    await using file = await open(aside, 'r+')
    await file.chmod(0o600)
    await file.datasync()
    await rename(aside, path)
    return path
  } catch (error) {
    await rm(aside, { force: true })
    throw CoveError.from(error, 'io-error')
  }
}

/** Lower folders, where to mount them, then the command. */
const SCRIPT = 'stack="$1"; root="$2"; shift 2; mount -t overlay -o "ro,lowerdir=$stack" overlay "$root" && exec "$@"'

/** One more folder, with nothing in it, as an overlay takes no less than two. */
function lowerFolders({ folders }: StoreParts, image: HeldImage): string {
  const below = (path: string) => path.slice(folders.base.length + 1)
  const layers = stackOf(image.record.layers).map((number) => below(layerFolder(folders, number)))
  return [...layers, below(folders.empty), ...(layers.length === 0 ? [below(folders.trash)] : [])].join(':')
}

function argsFor(format: DiskFormat, file: string, root: string, entries: number): string[] {
  if (format === 'erofs') return ['-T', '1', '-U', FIXED_ID, file, root]
  const options = `hash_seed=${FIXED_ID},root_owner=0:0`
  // Its own guess is one file per 16 KiB, and images of small files have more of them.
  const fixed = ['-O', '^has_journal', '-m', '0', '-N', String(entries + SPARE_ENTRIES), '-U', FIXED_ID, '-E', options]
  return ['-q', '-F', '-t', 'ext4', ...fixed, '-d', root, file]
}

/** Room for what the file system needs itself; what is not used is a hole. */
function sizeOf({ catalog }: StoreParts, { record }: HeldImage): number {
  const bytes = record.layers.reduce((sum, number) => sum + catalog.layer(number).bytes, 0)
  return Math.ceil((bytes * 1.3 + entriesOf({ catalog }, { record }) * 4_608 + 64 * MIB) / MIB) * MIB
}

function entriesOf({ catalog }: Pick<StoreParts, 'catalog'>, { record }: Pick<HeldImage, 'record'>): number {
  return record.layers.reduce((sum, number) => sum + catalog.layer(number).entries, 0)
}

async function makeSparse(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'w', 0o600)
  await file.truncate(bytes)
}

async function tools(format: DiskFormat): Promise<{ readonly tool: string; readonly unshare: string }> {
  const wanted = PROGRAMS[format]
  const [tool, unshare] = await Promise.all([findProgram(wanted.name), findProgram('unshare')])
  if (tool !== undefined && unshare !== undefined && process.getuid?.() === 0) return { tool, unshare }
  if (process.getuid?.() !== 0) {
    throw new CoveError('unsupported', 'only root can make a disk of an image', {}, { fix: 'Run Cove as root.' })
  }
  const missing = tool === undefined ? wanted : { name: 'unshare', package: 'util-linux' }
  throw new CoveError(
    'unsupported',
    `${missing.name} is not installed`,
    {},
    {
      fix: `Install it: apt-get install ${missing.package}.`,
    },
  )
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
