import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { release, tmpdir, type } from 'node:os'
import { join } from 'node:path'
import { keepsSnapshots, type DriverReport } from '@cove/domain'
import { systemRandom } from '@cove/domain/system'
import { layersProgramBeside } from '../setup/layers-program.ts'
import type { Settings } from '../config/settings.ts'
import { loadConfig } from '../config/load.ts'
import type { Io } from '../io.ts'
import { writeData } from '../render/data.ts'
import { ensureGuestProgram } from '../setup/guest-program.ts'
import { limitLine } from '../render/sandbox.ts'
import { driverLines } from './banner.ts'
import { daemonFilePath } from './data-dir.ts'
import { readLivingDaemon } from './daemon-file.ts'
import type { ReportArgs } from './up-args.ts'

const PROOF_MS = 30_000

/** `cove doctor`: proves every driver by running a machine with it, and says how to get what is missing. */
export async function doctor(args: ReportArgs, io: Io): Promise<number> {
  const { settings } = await loadConfig({ env: io.env, flags: args.flags, file: args.config })
  const daemon = await readLivingDaemon(daemonFilePath(settings.dataDir))
  const reports = await proveHere(settings, io)
  const facts = hostFacts()
  const good = reports.some(({ fingerprint, isolation }) => fingerprint.proven && isolation !== 'process')
  const { format } = args.output
  if (format !== 'table') {
    await writeData(io, format, { host: facts, daemon: daemon ?? null, drivers: reports })
    return good ? 0 : 1
  }
  const lines = [
    `Host      ${facts.kernel}, Node ${facts.node}, ${facts.user}`,
    `Daemon    ${daemon === undefined ? 'not running' : daemon.url}`,
    ...driverLines(reports).map((line, index) => `${index === 0 ? 'Drivers  ' : '         '} ${line}`),
  ]
  const chosen = reports.find((report) => report.chosen)?.fingerprint
  if (chosen?.proven === true) lines.push(`Limits    ${limitLine(chosen.enforces.filter(boundsDisks))}`)
  const networks = new Set(
    reports.flatMap(({ fingerprint }) => (fingerprint.proven ? (fingerprint.details['network'] ?? []) : [])),
  )
  for (const network of networks) lines.push(`Network   ${network}`)
  const savers = reports.filter(({ savesMemory, fingerprint }) => savesMemory === true && fingerprint.proven)
  const names = savers.map(({ name }) => name).join(', ')
  lines.push(
    `Memory    ${names === '' ? 'saved by no driver here: sandboxes pause in memory only' : `saved by ${names}`}`,
  )
  if (!settings.allowNative)
    lines.push('', 'native is offered only with --allow-native: it is supervision, and no wall.')
  io.stdout.write(`${lines.join('\n')}\n`)
  if (!good) io.stderr.write('error: no driver that isolates is proven here\nfix: see the line of the driver above\n')
  return good ? 0 : 1
}

/** A driver bounds a disk that ends with its machine; those of sandboxes outlive it, and only root can bound them. */
const boundsDisks = (limit: string): boolean => limit !== 'diskBytes' || process.getuid?.() === 0

/** Apart from any running daemon, with a launcher and a folder of its own that are gone afterwards. */
async function proveHere(settings: Settings, io: Io): Promise<readonly DriverReport[]> {
  const [{ openLauncher }, { makeDrivers }, { openImageStore }, { randomId, silentLog }, { systemClock }] =
    await Promise.all([
      import('@cove/runner'),
      import('./make-drivers.ts'),
      import('@cove/images'),
      import('@cove/domain'),
      import('@cove/domain/system'),
    ])
  const guestProgram = await ensureGuestProgram('ask', io)
  const folder = await mkdtemp(join(tmpdir(), 'cove-doctor-'))
  try {
    const installation = randomId(systemRandom)
    await using launcher = await openLauncher({ binary: guestProgram, stateDir: join(folder, 'l'), installation })
    await using images = await openImageStore({
      folder: join(folder, 'images'),
      layersProgram: layersProgramBeside(guestProgram),
      clock: systemClock,
    })
    const drivers = makeDrivers(
      { ...settings, allowNative: true },
      {
        launcher,
        guestProgram,
        installation,
        stateDir: join(folder, 's'),
        runtimeDir: join(folder, 'r'),
        images,
        random: systemRandom,
        log: silentLog,
        env: io.env,
      },
    )
    await mkdir(join(folder, 's'))
    await mkdir(join(folder, 'r'))
    const reports: DriverReport[] = []
    for (const driver of drivers) {
      const fingerprint = await driver.fingerprint(AbortSignal.timeout(PROOF_MS))
      reports.push({
        name: driver.name,
        isolation: driver.isolation,
        fingerprint,
        savesMemory: keepsSnapshots(driver),
        // In the order of strength: the first that runs here.
        chosen:
          fingerprint.proven &&
          fingerprint.native &&
          driver.isolation !== 'process' &&
          !reports.some(({ chosen }) => chosen),
      })
      await driver.close()
    }
    await launcher.stopLauncher()
    return reports
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function hostFacts(): { readonly kernel: string; readonly node: string; readonly user: string } {
  const user = process.getuid?.() === 0 ? 'as root' : `as an ordinary user (uid ${process.getuid?.() ?? 'unknown'})`
  return { kernel: `${type()} ${release()} ${process.arch}`, node: process.versions.node, user }
}
