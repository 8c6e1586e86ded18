// What may happen to the money in one step of a random life, and lives made of such steps.
import fc from 'fast-check'

export type Step =
  | { readonly do: 'deposit' | 'grant'; readonly who: number; readonly units: bigint }
  | { readonly do: 'withdraw'; readonly who: number; readonly units: bigint }
  | { readonly do: 'ask'; readonly who: number; readonly times: number }
  | { readonly do: 'answer'; readonly board: number; readonly times: number; readonly isRefused: boolean }
  | { readonly do: 'claim'; readonly board: number; readonly lie: 'none' | 'digest' | 'twice' | 'again' }
  | { readonly do: 'decide'; readonly at: number; readonly to: 'credited' | 'forfeited' }
  | { readonly do: 'fees'; readonly feeBps: number; readonly royaltyBps: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'close' | 'pay' }
  /** A batch is signed where it can be; otherwise this becomes of it. */
  | { readonly do: 'land'; readonly fate: 'final' | 'failed' | 'confirmed' | 'expired'; readonly at: number }
  /** The chain paid an owner, a publisher, the operator or a stranger, and this database does not know of it. */
  | { readonly do: 'adopt'; readonly wallet: number; readonly units: bigint }
  /** What a stranger got is one owner's after all, or a loss. */
  | { readonly do: 'attribute'; readonly who: number; readonly isLoss: boolean }

const who = fc.nat({ max: 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('deposit'), who, units: fc.bigInt({ min: 1n, max: 900n }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('grant'), who, units: fc.bigInt({ min: 1n, max: 300n }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('withdraw'), who, units: fc.bigInt({ min: 1n, max: 400n }) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('ask'), who, times: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('answer'),
      board: who,
      times: fc.integer({ min: 1, max: 4 }),
      isRefused: fc.nat({ max: 4 }).map((n) => n === 0),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('claim'),
      board: who,
      lie: fc.constantFrom('none', 'none', 'digest', 'twice', 'again'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('decide'),
      at: fc.nat({ max: 9 }),
      to: fc.constantFrom('credited', 'forfeited'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('fees'),
      feeBps: fc.integer({ min: 0, max: 5_000 }),
      royaltyBps: fc.integer({ min: 0, max: 5_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.constantFrom(1_000, 70_000, 8 * 86_400_000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('close', 'pay') }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('land'),
      fate: fc.constantFrom('final', 'final', 'failed', 'confirmed', 'expired'),
      at: fc.nat({ max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('adopt'),
      wallet: fc.constantFrom(0, 1, 2, 3, 4, 4, 4),
      units: fc.bigInt({ min: 1n, max: 300n }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('attribute'), who, isLoss: fc.boolean() }) },
) as fc.Arbitrary<Step>

/** Begins so that there is something to go wrong with. */
export const history: fc.Arbitrary<readonly Step[]> = fc
  .array(step, { minLength: 30, maxLength: 60 })
  .map((steps) => [{ do: 'deposit', who: 0, units: 1_500n }, { do: 'ask', who: 0, times: 3 }, ...steps])
