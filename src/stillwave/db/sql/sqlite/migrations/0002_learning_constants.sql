-- Constants of the learning trigger, and whether a feedback may teach. Values come from profiles/curve.py
-- and profiles/effects.py; a test holds them equal.

-- False for feedback given while adaptation was off or processing restricted: it is kept, and never learned
-- from later, for that is what the person chose when giving it.
ALTER TABLE session_feedback ADD COLUMN learns INTEGER NOT NULL DEFAULT 1
    CONSTRAINT session_feedback_learns_boolean CHECK (learns IN (0, 1));

-- A band is [low_hz, high_hz); 50 Hz itself belongs to gamma. Nine grid points, ends included.
CREATE TABLE learning_band (
    band TEXT PRIMARY KEY,
    low_hz REAL NOT NULL,
    high_hz REAL NOT NULL
) STRICT;
INSERT INTO learning_band (band, low_hz, high_hz) VALUES
    ('delta', 0.5, 4.0), ('theta', 4.0, 8.0), ('alpha', 8.0, 13.0), ('beta', 13.0, 30.0), ('gamma', 30.0, 50.0);

-- The population's mean rating (0-1) at grid point j.
CREATE TABLE learning_prior (
    band TEXT NOT NULL,
    j INTEGER NOT NULL,
    mean REAL NOT NULL,
    PRIMARY KEY (band, j)
) STRICT;
INSERT INTO learning_prior (band, j, mean) VALUES
    ('delta', 0, 0.4649304934716699), ('delta', 1, 0.5137342107437344), ('delta', 2, 0.564515512479733),
    ('delta', 3, 0.5965150937915801), ('delta', 4, 0.5938466468952688), ('delta', 5, 0.5579043139321576),
    ('delta', 6, 0.5062191982070691), ('delta', 7, 0.45900453123488855), ('delta', 8, 0.42706705664732253),
    ('theta', 0, 0.4498704417554592), ('theta', 1, 0.49156667235432283), ('theta', 2, 0.5413296555715432),
    ('theta', 3, 0.5833710711464057), ('theta', 4, 0.6), ('theta', 5, 0.5833710711464057),
    ('theta', 6, 0.5413296555715432), ('theta', 7, 0.49156667235432283), ('theta', 8, 0.4498704417554592),
    ('alpha', 0, 0.4720895577195642), ('alpha', 1, 0.5234720816044525), ('alpha', 2, 0.5732650440405206),
    ('alpha', 3, 0.5992043928087839), ('alpha', 4, 0.5876431191438216), ('alpha', 5, 0.5448145337533962),
    ('alpha', 6, 0.49156667235432283), ('alpha', 7, 0.44743604665171116), ('alpha', 8, 0.42013377995457957),
    ('beta', 0, 0.5452298074147381), ('beta', 1, 0.5864204984719055), ('beta', 2, 0.5997501561849162),
    ('beta', 3, 0.5786636283131366), ('beta', 4, 0.5333953621716949), ('beta', 5, 0.48313824848508546),
    ('beta', 6, 0.44325303336597743), ('beta', 7, 0.41878398915980086), ('beta', 8, 0.40680949094691987),
    ('gamma', 0, 0.4498704417554592), ('gamma', 1, 0.49156667235432283), ('gamma', 2, 0.5413296555715432),
    ('gamma', 3, 0.5833710711464057), ('gamma', 4, 0.6), ('gamma', 5, 0.5833710711464057),
    ('gamma', 6, 0.5413296555715432), ('gamma', 7, 0.49156667235432283), ('gamma', 8, 0.4498704417554592);

-- The prior covariance of grid points j and k, the same in every band: lower triangle by rows, p is its index.
CREATE TABLE learning_kernel (
    p INTEGER PRIMARY KEY,
    j INTEGER NOT NULL,
    k INTEGER NOT NULL,
    covariance REAL NOT NULL
) STRICT;
INSERT INTO learning_kernel (p, j, k, covariance) VALUES
    (0, 0, 0, 0.045200000000000004), (1, 1, 0, 0.04065798559740582), (2, 1, 1, 0.045200000000000004),
    (3, 2, 0, 0.03132053406135333), (4, 2, 1, 0.04065798559740582), (5, 2, 2, 0.045200000000000004),
    (6, 3, 0, 0.024013993571680076), (7, 3, 1, 0.03132053406135333), (8, 3, 2, 0.04065798559740582),
    (9, 3, 3, 0.045200000000000004), (10, 4, 0, 0.02072478550075923), (11, 4, 1, 0.024013993571680076),
    (12, 4, 2, 0.03132053406135333), (13, 4, 3, 0.04065798559740582), (14, 4, 4, 0.045200000000000004),
    (15, 5, 0, 0.019793937342573058), (16, 5, 1, 0.02072478550075923), (17, 5, 2, 0.024013993571680076),
    (18, 5, 3, 0.03132053406135333), (19, 5, 4, 0.04065798559740582), (20, 5, 5, 0.045200000000000004),
    (21, 6, 0, 0.01962262595345754), (22, 6, 1, 0.019793937342573058), (23, 6, 2, 0.02072478550075923),
    (24, 6, 3, 0.024013993571680076), (25, 6, 4, 0.03132053406135333), (26, 6, 5, 0.04065798559740582),
    (27, 6, 6, 0.045200000000000004), (28, 7, 0, 0.01960178610117622), (29, 7, 1, 0.01962262595345754),
    (30, 7, 2, 0.019793937342573058), (31, 7, 3, 0.02072478550075923), (32, 7, 4, 0.024013993571680076),
    (33, 7, 5, 0.03132053406135333), (34, 7, 6, 0.04065798559740582), (35, 7, 7, 0.045200000000000004),
    (36, 8, 0, 0.01960009540232121), (37, 8, 1, 0.01960178610117622), (38, 8, 2, 0.01962262595345754),
    (39, 8, 3, 0.019793937342573058), (40, 8, 4, 0.02072478550075923), (41, 8, 5, 0.024013993571680076),
    (42, 8, 6, 0.03132053406135333), (43, 8, 7, 0.04065798559740582), (44, 8, 8, 0.045200000000000004);

-- What an effect's key means. A key that is not here counts as adverse.
CREATE TABLE effect_vocabulary (
    effect TEXT PRIMARY KEY,
    kind TEXT NOT NULL CONSTRAINT effect_vocabulary_kind_known
        CHECK (kind IN ('adverse', 'benefit', 'pace', 'level', 'red_flag', 'note'))
) STRICT;
INSERT INTO effect_vocabulary (effect, kind) VALUES
    ('agitation', 'adverse'), ('anxiety', 'adverse'), ('confusion', 'adverse'), ('dizziness', 'adverse'),
    ('ear_discomfort', 'adverse'), ('ear_pressure', 'adverse'), ('fatigue', 'adverse'), ('headache', 'adverse'),
    ('irritability', 'adverse'), ('low_mood', 'adverse'), ('muscle_tension', 'adverse'), ('nausea', 'adverse'),
    ('palpitations', 'adverse'), ('restlessness', 'adverse'), ('ringing_ears', 'adverse'), ('sleep_trouble', 'adverse'),
    ('unease', 'adverse'), ('visual_disturbance', 'adverse'), ('alert', 'benefit'), ('calm', 'benefit'),
    ('clear', 'benefit'), ('creative', 'benefit'), ('energised', 'benefit'), ('focused', 'benefit'),
    ('grounded', 'benefit'), ('happy', 'benefit'), ('less_pain', 'benefit'), ('muscle_release', 'benefit'),
    ('pleasant', 'benefit'), ('refreshed', 'benefit'), ('relaxed', 'benefit'), ('rested', 'benefit'),
    ('sleepy', 'benefit'), ('slow_breath', 'benefit'), ('warm', 'benefit'), ('too_fast', 'pace'),
    ('too_slow', 'pace'), ('too_loud', 'level'), ('too_quiet', 'level'), ('aura', 'red_flag'),
    ('chest_pain', 'red_flag'), ('fainting', 'red_flag'), ('hallucination', 'red_flag'), ('seizure', 'red_flag'),
    ('note', 'note');

-- The one feedback being folded: SQLite triggers have no variables. Empty between statements.
CREATE TABLE learning_work (
    user_id TEXT PRIMARY KEY,
    feedback_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    sens REAL NOT NULL,       -- what is known before this feedback
    trans REAL NOT NULL,
    vol REAL NOT NULL,
    nt INTEGER NOT NULL,
    severity REAL NOT NULL,
    pace INTEGER NOT NULL,    -- 1 too fast, -1 too slow, 0 neither
    level INTEGER NOT NULL,   -- 1 too loud, -1 too quiet, 0 neither
    flags TEXT NOT NULL,      -- red flags, a JSON array
    y REAL,                   -- what was rated, on 0-1
    noise REAL,
    hz REAL,
    sens_after REAL,
    trans_after REAL,
    vol_after REAL,
    band TEXT,                -- NULL where the curve learns nothing; then so is all below
    low_hz REAL,
    high_hz REAL,
    u REAL,                   -- where hz stands on the grid, 0-8
    i INTEGER,                -- the grid point at or below it
    t REAL,                   -- the weight of the next one
    n INTEGER,                -- ratings in the band so far
    mean TEXT,                -- the band before, JSON arrays
    covariance TEXT,
    mean_after TEXT,
    covariance_after TEXT,
    range_low_hz REAL,        -- the band's preferred range
    range_high_hz REAL
) STRICT;

-- People whose refolds wait: one row before a mass deletion, removed after it, refolds once instead of each time.
CREATE TABLE learning_pause (
    user_id TEXT PRIMARY KEY,
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;
