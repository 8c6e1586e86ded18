// The comparison of chain and ledger as a pure function: each kind of difference, and agreement.
import { describe, expect, it } from 'vitest'
import type { ChainTransfer } from '../../console/settlement/payer.ts'
import { type LedgerBatch, reconcile as reconcileSides } from '../../console/settlement/reconcile.ts'
import { reconciliationText } from '../../console/up/reconcile-command.ts'

const transfer = (over: Partial<ChainTransfer> = {}): ChainTransfer => ({
  signature: 's1',
  isOurs: true,
  memo: 'bramble:e1-1',
  atMs: 0,
  blockhash: '',
  wire: new Uint8Array(),
  treasuryChange: -30n,
  received: [
    { wallet: 'A', units: 10n },
    { wallet: 'B', units: 20n },
  ],
  ...over,
})
const batch = (over: Partial<LedgerBatch> = {}): LedgerBatch => ({
  id: 'e1-1',
  state: 'finalized',
  signatures: ['s0', 's1'],
  lines: [
    { wallet: 'B', units: 20n },
    { wallet: 'A', units: 10n },
  ],
  ...over,
})
const reconcile = (transfers: ChainTransfer[], batches: LedgerBatch[], untold: string[] = []) =>
  reconcileSides({ transfers, untold, account: 'TREASURY' }, batches)
const kinds = (transfers: ChainTransfer[], batches: LedgerBatch[]) =>
  reconcile(transfers, batches).differences.map(({ kind }) => kind)

describe('chain and ledger', () => {
  it('agree when every payout is on both sides, to the unit and the wallet', () => {
    expect(reconcile([transfer()], [batch()])).toEqual({
      ok: true,
      transactions: 1,
      chain: { payouts: 1, units: 30n },
      ledger: { payouts: 1, units: 30n },
      underWay: 0,
      incoming: 0n,
      differences: [],
    })
  })

  it('agree on a wallet that two payees share', () => {
    const lines = ['x', 'y'].map(() => ({ wallet: 'A', units: 5n }))
    expect(kinds([transfer({ received: [{ wallet: 'A', units: 10n }] })], [batch({ lines })])).toEqual([])
  })

  it('agree while a payout is under way, seen there or not', () => {
    expect(reconcile([transfer()], [batch({ state: 'sent' })])).toMatchObject({ ok: true, underWay: 1 })
    expect(reconcile([], [batch({ state: 'sent' })])).toMatchObject({ ok: true, underWay: 1 })
    expect(kinds([], [batch({ state: 'failed' })])).toEqual([])
  })

  it('agree on what comes into the treasury, sweeps and minting', () => {
    const incoming = transfer({ signature: 'in', memo: undefined, treasuryChange: 7n, received: [] })
    expect(reconcile([incoming], [])).toMatchObject({ ok: true, incoming: 7n })
  })

  it.each<[string, ChainTransfer[], LedgerBatch[], string]>([
    ['a payout that only the chain has', [transfer({ signature: 'other' })], [], 'only-on-chain'],
    ['a payout that only the ledger has', [], [batch()], 'only-here'],
    ['another sum', [transfer({ received: [{ wallet: 'A', units: 30n }] })], [batch()], 'lines-differ'],
    [
      'the same sum to another wallet',
      [transfer({ received: [{ wallet: 'C', units: 30n }] })],
      [batch()],
      'lines-differ',
    ],
    ['a batch that landed twice', [transfer(), transfer({ signature: 's0' })], [batch()], 'paid-twice'],
    ['a batch that failed here and landed there', [transfer()], [batch({ state: 'failed' })], 'paid-though-failed'],
    ['tokens that left for no payout', [transfer({ signature: 'x', memo: undefined })], [], 'unknown'],
    ['tokens that left under a memo not ours', [transfer({ signature: 'x', memo: 'hello' })], [], 'unknown'],
  ])('differ by %s', (_name, transfers, batches, kind) => {
    const found = reconcile(transfers, batches)
    expect(found.ok).toBe(false)
    expect(found.differences).toMatchObject([{ kind, detail: expect.stringMatching(/\w/) }])
  })

  it('do not agree on what the RPC lists and does not tell, and a payout among it is not called missing', () => {
    const found = reconcile([], [batch()], ['s1', 'x'])
    expect(found.ok).toBe(false)
    expect(found.differences).toEqual([
      {
        kind: 'unreadable',
        signature: 's1',
        detail: expect.stringMatching(/^2 transaction\(s\) of TREASURY could not/),
      },
    ])
  })

  it('are not troubled by a stranger who writes our memo beside the treasury', () => {
    const stranger = transfer({ signature: 'x', isOurs: false, treasuryChange: 0n, memo: 'bramble:e9-9' })
    expect(kinds([stranger], [])).toEqual([])
  })
})

describe('what the command says', () => {
  const side = { payouts: 1, units: '30' }
  const deposits = { chain: { count: 2, units: '70' }, ledger: { count: 2, units: '70' }, waiting: 1 }
  const agreed = {
    ok: true,
    transactions: 1,
    chain: side,
    ledger: side,
    underWay: 0,
    incoming: '7',
    deposits,
    differences: [],
  }

  it('is both sums and the verdict', () => {
    expect(reconciliationText(agreed)).toBe(
      [
        'chain   1 payout transaction(s), 30 base units',
        'ledger  1 final batch(es), 30 base units; 0 under way',
        'came in 7 base units',
        'deposits on the chain 2 of 70 base units, noted 2 of 70; 1 transaction(s) not read yet',
        'Chain and ledger agree.',
      ].join('\n'),
    )
  })

  it('names every difference with its transaction', () => {
    const differences = [{ kind: 'unknown' as const, detail: '5 base units left', signature: 'sig' }]
    const text = reconciliationText({ ...agreed, ok: false, differences })
    expect(text).toContain('unknown: 5 base units left (sig)\n1 difference(s).')
  })
})
