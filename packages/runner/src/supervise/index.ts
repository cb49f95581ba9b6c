export * from './ready-check.ts'
export * from './restart-policy.ts'
export * from './supervised-status.ts'
export * from './supervisor.ts'
