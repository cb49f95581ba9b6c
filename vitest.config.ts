import { defineConfig } from 'vitest/config'

// Pure rooms run in threads. Whatever mounts, spawns or listens is named `*.system.test.ts` and runs in forked
// processes, one file at a time: workers cannot change umask or directory, and a native crash takes all down.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'pure',
          include: ['packages/*/{src,test}/**/*.test.ts', 'tests/**/*.test.ts', 'tooling/**/*.test.ts'],
          exclude: ['**/*.system.test.ts', '**/node_modules/**'],
          pool: 'threads',
        },
      },
      {
        test: {
          name: 'system',
          include: ['packages/*/{src,test}/**/*.system.test.ts', 'tests/**/*.system.test.ts'],
          exclude: ['**/node_modules/**'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
