// What a slow test needs of its machine. Where it is missing the test is skipped and says so; but not in CI, where nobody reads that.
import type { TestContext } from 'vitest'

/** `lack`: what is missing, if anything. */
export function need({ skip }: Pick<TestContext, 'skip'>, lack: string | undefined, env = process.env): void {
  if (lack !== undefined && env['CI']) throw new Error(`${lack}: in CI nothing may be missing`)
  skip(lack !== undefined, lack ?? '')
}
