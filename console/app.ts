// The console's HTTP: which route stands where, behind which guard. `AppType` is what the page's client is typed by.
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { secureHeaders } from 'hono/secure-headers'
import type { Logger } from 'pino'
import { MAX_RELEASE_BYTES } from './registry/model-kind.ts'
import { type Env, refuse } from './routes/answers.ts'
import { type BoardReceiptDesk, boardReceiptRoutes } from './routes/board-receipts.ts'
import { type BoardDesk, boardRoutes } from './routes/boards.ts'
import { type ChainDesk, chainRoutes } from './routes/chain.ts'
import { type CommandDesk, commandRoutes } from './routes/commands.ts'
import { type DesiredDesk, desiredRoutes } from './routes/desired.ts'
import { type DeviceDesk, deviceRoutes } from './routes/devices.ts'
import { type EnrolDesk, enrolRoutes } from './routes/enroll.ts'
import { type EnrollmentDesk, enrollmentRoutes } from './routes/enrollments.ts'
import { type EventDesk, eventRoutes } from './routes/events.ts'
import { type GuardOptions, limitRate, operatorOnly, requireBearer } from './routes/guard.ts'
import { type LostDesk, lostRoutes } from './routes/lost.ts'
import { type ModelDesk, modelRoutes } from './routes/models.ts'
import { type OverviewDesk, overviewRoutes } from './routes/overview.ts'
import { type OwnerDesk, ownerRoutes, type WalletDesk, walletRoutes } from './routes/owners.ts'
import { pageRoutes } from './routes/page.ts'
import { type PayoutDesk, payoutRoutes } from './routes/payouts.ts'
import { type PublicDesk, publicRoutes } from './routes/public.ts'
import { type ReconcileDesk, reconcileRoutes } from './routes/reconcile.ts'
import { type ReleaseDesk, releaseRoutes } from './routes/releases.ts'
import { type RequesterDesk, requesterRoutes } from './routes/requesters.ts'
import { ledgerRoutes, type RewardDesk, rewardRoutes } from './routes/rewards.ts'
import { type SoftwareDesk, softwareRoutes } from './routes/software.ts'
import { type TaskDesk, taskRoutes } from './routes/tasks.ts'
import { MAX_SOFTWARE_RELEASE_BYTES } from './software/releases.ts'

export interface AppOptions {
  readonly guard: GuardOptions
  readonly public: PublicDesk
  readonly enrol: EnrolDesk
  readonly overview: OverviewDesk
  readonly devices: DeviceDesk
  readonly commands: CommandDesk
  readonly tasks: TaskDesk
  readonly models: ModelDesk
  readonly boards: BoardDesk
  readonly boardReceipts: BoardReceiptDesk
  readonly releases: ReleaseDesk
  readonly desired: DesiredDesk
  readonly software: SoftwareDesk
  readonly rewards: RewardDesk
  readonly reconcile: ReconcileDesk
  readonly lost: LostDesk
  readonly payouts: PayoutDesk
  readonly enrollments: EnrollmentDesk
  readonly chain: ChainDesk
  readonly requesters: RequesterDesk
  readonly owners: OwnerDesk
  readonly wallets: WalletDesk
  readonly events: EventDesk
  /** Absolute folder of the built page. */
  readonly dist: string
  readonly limits: { readonly frameBytes: number; readonly jsonBytes: number; readonly enrolPerMinute: number }
  readonly now: () => number
  readonly log: Logger
  addressOf(c: Context): string
}

/** No inline script or style; pictures may also come from blobs, because frames are fetched with the bearer token. */
const CONTENT_SECURITY_POLICY = {
  defaultSrc: ["'self'"],
  imgSrc: ["'self'", 'blob:', 'data:'],
  objectSrc: ["'none'"],
  frameAncestors: ["'none'"],
  baseUri: ["'none'"],
  formAction: ["'self'"],
}

const limitBody = (maxSize: number) =>
  bodyLimit({
    maxSize,
    onError: (c) => {
      // The rest of the body is not read, so nothing else can come over this connection.
      c.header('connection', 'close')
      return refuse(c, 413, 'too-large', `The body may hold ${maxSize} bytes at most.`)
    },
  })

function guards(app: OpenAPIHono<Env>, options: AppOptions): void {
  const { limits, now, addressOf } = options
  app.use(
    secureHeaders({
      contentSecurityPolicy: CONTENT_SECURITY_POLICY,
      referrerPolicy: 'no-referrer',
      xFrameOptions: 'DENY',
      // The console speaks plain HTTP; whoever puts TLS before it decides how long browsers shall insist on it.
      strictTransportSecurity: false,
    }),
  )
  const enrolLimit = limitRate({ perMinute: limits.enrolPerMinute, now, addressOf })
  for (const path of ['/enroll', '/enroll/*']) app.use(path, enrolLimit, limitBody(limits.jsonBytes))
  app.use('/api/*', requireBearer(options.guard))
  for (const part of [
    'overview',
    'devices',
    'models',
    'rewards',
    'ledger',
    'payouts',
    'enrollments',
    'chain',
    'requesters',
    'owners',
    'wallets',
    'events',
    'fleet',
    'publishers',
  ]) {
    for (const path of [`/api/${part}`, `/api/${part}/*`]) app.use(path, operatorOnly, limitBody(limits.jsonBytes))
  }
  for (const path of ['/api/software', '/api/software/*'])
    app.use(path, operatorOnly, limitBody(MAX_SOFTWARE_RELEASE_BYTES))
  app.use('/api/tasks', limitBody(limits.frameBytes))
  for (const path of ['/api/releases', '/api/releases/*']) app.use(path, operatorOnly, limitBody(MAX_RELEASE_BYTES))
  // A file of a package may be hundreds of MiB: it is counted where it is written, against the size that was signed.
  app.use('/api/blobs/*', operatorOnly)
}

function faults(app: OpenAPIHono<Env>, log: Logger): void {
  app.onError((error, c) => {
    if (error instanceof HTTPException && error.status < 500)
      return c.json({ error: { code: 'bad-request', message: error.message } }, error.status)
    // Nobody is left to read the answer: a caller that waited for a board has gone.
    if (c.req.raw.signal.aborted) return refuse(c, 503, 'gone', 'The caller left.')
    log.error({ err: error, path: c.req.path }, 'a request failed')
    return refuse(c, 500, 'internal', 'The console failed to answer; its log says why.')
  })
}

const routes = (app: OpenAPIHono<Env>, options: AppOptions) =>
  app
    .route('/', publicRoutes(options.public))
    .route('/enroll', enrolRoutes(options.enrol))
    .route('/api/overview', overviewRoutes(options.overview))
    .route('/api/devices', deviceRoutes(options.devices))
    .route('/api/devices', commandRoutes(options.commands))
    .route('/api/tasks', taskRoutes(options.tasks))
    .route('/api/models', modelRoutes(options.models))
    .route('/api', releaseRoutes(options.releases))
    .route('/api', desiredRoutes(options.desired))
    .route('/api/software', softwareRoutes(options.software))
    .route('/boards/receipts', boardReceiptRoutes(options.boardReceipts))
    .route('/boards', boardRoutes(options.boards))
    .route('/api/rewards', rewardRoutes(options.rewards))
    .route('/api/rewards', reconcileRoutes(options.reconcile))
    .route('/api/rewards', lostRoutes(options.lost))
    .route('/api/ledger', ledgerRoutes(options.rewards))
    .route('/api/payouts', payoutRoutes(options.payouts))
    .route('/api/enrollments', enrollmentRoutes(options.enrollments))
    .route('/api/chain', chainRoutes(options.chain))
    .route('/api/requesters', requesterRoutes(options.requesters))
    .route('/api/owners', ownerRoutes(options.owners))
    .route('/api/wallets', walletRoutes(options.wallets))
    .route('/api/events', eventRoutes(options.events))

export function createApp(options: AppOptions) {
  const app = new OpenAPIHono<Env>()
  guards(app, options)
  faults(app, options.log)
  const typed = routes(app, options)
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Bramble console', version: options.public.version },
    security: [{ bearer: [] }],
  })
  app.all('/api/*', (c) => refuse(c, 404, 'not-found', 'There is no such address under /api; see /openapi.json.'))
  app.route('/', pageRoutes(options.dist))
  return typed
}

export type AppType = ReturnType<typeof createApp>
