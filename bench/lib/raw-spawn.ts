import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/**
 * Milliseconds of fork, exec and wait for each of `n` runs of a command, measured by a small process: Node's own
 * spawn would add its fork to the baseline and flatter every ratio.
 */
export async function rawSpawn(n: number, argv: readonly string[]): Promise<number[]> {
  const { stdout } = await promisify(execFile)('perl', ['-MTime::HiRes=time', '-e', LOOP, String(n), ...argv], {
    maxBuffer: 16 * 1024 * 1024,
  })
  return stdout.trim().split('\n').map(Number)
}

/** For `perl -MTime::HiRes=time -e`: times the command behind the count, so many times. */
export const LOOP = `
my $n = shift;
for (1 .. $n) {
  my $start = time;
  my $pid = fork // die "fork: $!";
  if ($pid == 0) { exec { $ARGV[0] } @ARGV or exit 127 }
  waitpid $pid, 0;
  die "status $?" if $?;
  printf "%.4f\\n", (time - $start) * 1000;
}`

/** Bubblewrap with the namespaces that Cove's driver uses, and nothing of its hardening. */
export const RAW_BWRAP = [
  'bwrap',
  '--ro-bind',
  '/usr',
  '/usr',
  '--symlink',
  'usr/bin',
  '/bin',
  '--symlink',
  'usr/lib',
  '/lib',
  '--symlink',
  'usr/lib64',
  '/lib64',
  '--proc',
  '/proc',
  '--dev',
  '/dev',
  '--tmpfs',
  '/tmp',
  '--unshare-all',
  '/bin/true',
]
