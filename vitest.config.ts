import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'fakes/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    // Two cores: the suite shares them with PostgreSQL and the fakes.
    maxWorkers: 2,
    // Not a limit of what is tested: a busy machine takes its time.
    testTimeout: 180_000,
    hookTimeout: 120_000,
    allowOnly: false,
  },
})
