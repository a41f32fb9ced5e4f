-- A curve per group of states, and a base that keeps what was learned from sessions which retention removes. Values
-- come from profiles/curve.py; a test holds them equal.

-- States of one group share a curve in each of the group's bands.
CREATE TABLE learning_group (
    target_state TEXT PRIMARY KEY,
    state_group TEXT NOT NULL
) STRICT;
INSERT INTO learning_group (target_state, state_group) VALUES
    ('sleep', 'sleep'), ('deep_relaxation', 'rest'), ('meditation', 'rest'),
    ('creativity', 'creativity'), ('evening_wind_down', 'evening'), ('calm_focus', 'calm'),
    ('morning_wake', 'morning'), ('alert_focus', 'alert'), ('peak_focus', 'peak');

-- The population's mean rating (0-1) for such states at grid point j. A pair that is not here has no curve of its own.
CREATE TABLE learning_group_prior (
    state_group TEXT NOT NULL,
    band TEXT NOT NULL,
    j INTEGER NOT NULL,
    mean REAL NOT NULL,
    PRIMARY KEY (state_group, band, j)
) STRICT;
INSERT INTO learning_group_prior (state_group, band, j, mean) VALUES
    ('sleep', 'delta', 0, 0.5158198376254134), ('sleep', 'delta', 1, 0.56244296821039), ('sleep', 'delta', 2, 0.6012887148200803),
    ('sleep', 'delta', 3, 0.6227679163247717), ('sleep', 'delta', 4, 0.6210456383101226), ('sleep', 'delta', 5, 0.5966025238188828),
    ('sleep', 'delta', 6, 0.5560181671917452), ('sleep', 'delta', 7, 0.5091090400846455), ('sleep', 'delta', 8, 0.46511194714945525),
    ('sleep', 'theta', 0, 0.46511194714945525), ('sleep', 'theta', 1, 0.42575819906278445), ('sleep', 'theta', 2, 0.40016722494322443),
    ('sleep', 'theta', 3, 0.38598423340585186), ('sleep', 'theta', 4, 0.3792199710371975), ('sleep', 'theta', 5, 0.37642710025431986),
    ('sleep', 'theta', 6, 0.37542481984138815), ('sleep', 'theta', 7, 0.3751113167189462), ('sleep', 'theta', 8, 0.3750256756411549),
    ('rest', 'theta', 0, 0.5124577210583879), ('rest', 'theta', 1, 0.5592484533277527), ('rest', 'theta', 2, 0.598989155248142),
    ('rest', 'theta', 3, 0.6219667930785001), ('rest', 'theta', 4, 0.6219667930785001), ('rest', 'theta', 5, 0.598989155248142),
    ('rest', 'theta', 6, 0.5592484533277527), ('rest', 'theta', 7, 0.5124577210583879), ('rest', 'theta', 8, 0.4680085464843631),
    ('rest', 'alpha', 0, 0.4680085464843631), ('rest', 'alpha', 1, 0.4247535110532845), ('rest', 'alpha', 2, 0.3978484388390118),
    ('rest', 'alpha', 3, 0.384007852167794), ('rest', 'alpha', 4, 0.37804872245791277), ('rest', 'alpha', 5, 0.37588582197700854),
    ('rest', 'alpha', 6, 0.37522095657673377), ('rest', 'alpha', 7, 0.37504731505354033), ('rest', 'alpha', 8, 0.37500869808525317),
    ('creativity', 'theta', 0, 0.3978484388390118), ('creativity', 'theta', 1, 0.4181054059734382), ('creativity', 'theta', 2, 0.4487556640436107),
    ('creativity', 'theta', 3, 0.4894583404429036), ('creativity', 'theta', 4, 0.5360971812062988), ('creativity', 'theta', 5, 0.5806443905996661),
    ('creativity', 'theta', 6, 0.6130861999737941), ('creativity', 'theta', 7, 0.625), ('creativity', 'theta', 8, 0.6130861999737941),
    ('creativity', 'alpha', 0, 0.6130861999737941), ('creativity', 'alpha', 1, 0.5702476074855816), ('creativity', 'alpha', 2, 0.5124577210583879),
    ('creativity', 'alpha', 3, 0.458077702748617), ('creativity', 'alpha', 4, 0.4181054059734382), ('creativity', 'alpha', 5, 0.39420042852028936),
    ('creativity', 'alpha', 6, 0.3823421292316264), ('creativity', 'alpha', 7, 0.3774102664102126), ('creativity', 'alpha', 8, 0.3756792661823309),
    ('evening', 'theta', 0, 0.376893919361065), ('evening', 'theta', 1, 0.37978929295928227), ('evening', 'theta', 2, 0.38598423340585186),
    ('evening', 'theta', 3, 0.3978484388390118), ('evening', 'theta', 4, 0.4181054059734382), ('evening', 'theta', 5, 0.4487556640436107),
    ('evening', 'theta', 6, 0.4894583404429036), ('evening', 'theta', 7, 0.5360971812062988), ('evening', 'theta', 8, 0.5806443905996661),
    ('evening', 'alpha', 0, 0.5806443905996661), ('evening', 'alpha', 1, 0.6182269839185919), ('evening', 'alpha', 2, 0.6219667930785001),
    ('evening', 'alpha', 3, 0.5902768308070299), ('evening', 'alpha', 4, 0.5360971812062988), ('evening', 'alpha', 5, 0.4784928895193946),
    ('evening', 'alpha', 6, 0.43207750817011814), ('evening', 'alpha', 7, 0.40202411113600434), ('evening', 'alpha', 8, 0.38598423340585186),
    ('calm', 'alpha', 0, 0.5266326649281583), ('calm', 'alpha', 1, 0.572380392415197), ('calm', 'alpha', 2, 0.608025623089882),
    ('calm', 'alpha', 3, 0.6245121952768689), ('calm', 'alpha', 4, 0.617308308619086), ('calm', 'alpha', 5, 0.5884190903362869),
    ('calm', 'alpha', 6, 0.545485187797587), ('calm', 'alpha', 7, 0.49851749338290957), ('calm', 'alpha', 8, 0.45616311683958743),
    ('calm', 'beta', 0, 0.45616311683958743), ('calm', 'beta', 1, 0.38437698040607343), ('calm', 'beta', 2, 0.3753503398547213),
    ('calm', 'beta', 3, 0.375004232903109), ('calm', 'beta', 4, 0.3750000165390041), ('calm', 'beta', 5, 0.3750000000208979),
    ('calm', 'beta', 6, 0.37500000000000855), ('calm', 'beta', 7, 0.375), ('calm', 'beta', 8, 0.375),
    ('morning', 'alpha', 0, 0.4487556640436107), ('morning', 'alpha', 1, 0.4731856513204019), ('morning', 'alpha', 2, 0.5008153568128042),
    ('morning', 'alpha', 3, 0.530185901016875), ('morning', 'alpha', 4, 0.5592484533277527), ('morning', 'alpha', 5, 0.5855660837499956),
    ('morning', 'alpha', 6, 0.6066359533290587), ('morning', 'alpha', 7, 0.62027681540587), ('morning', 'alpha', 8, 0.625),
    ('morning', 'beta', 0, 0.625), ('morning', 'beta', 1, 0.5755315148936007), ('morning', 'beta', 2, 0.4784928895193946),
    ('morning', 'beta', 3, 0.4093655771894403), ('morning', 'beta', 4, 0.3823421292316264), ('morning', 'beta', 5, 0.3760092660353772),
    ('morning', 'beta', 6, 0.37508926363003975), ('morning', 'beta', 7, 0.3750050795902614), ('morning', 'beta', 8, 0.37500018598078294),
    ('alert', 'beta', 0, 0.5852822208394021), ('alert', 'beta', 1, 0.6156746308017389), ('alert', 'beta', 2, 0.6248311016292019),
    ('alert', 'beta', 3, 0.6102074758215013), ('alert', 'beta', 4, 0.5758372050737649), ('alert', 'beta', 5, 0.5305341091944843),
    ('alert', 'beta', 6, 0.4842434866801369), ('alert', 'beta', 7, 0.44459113009962753), ('alert', 'beta', 8, 0.41520690602485455),
    ('alert', 'gamma', 0, 0.41520690602485455), ('alert', 'gamma', 1, 0.39360819213875464), ('alert', 'gamma', 2, 0.3825232686937965),
    ('alert', 'gamma', 3, 0.3776570995663986), ('alert', 'gamma', 4, 0.375819800065118), ('alert', 'gamma', 5, 0.37522095657673377),
    ('alert', 'gamma', 6, 0.3750520241246371), ('alert', 'gamma', 7, 0.3750107004365098), ('alert', 'gamma', 8, 0.37500192263600884),
    ('peak', 'gamma', 0, 0.4894583404429036), ('peak', 'gamma', 1, 0.5360971812062988), ('peak', 'gamma', 2, 0.5806443905996661),
    ('peak', 'gamma', 3, 0.6130861999737941), ('peak', 'gamma', 4, 0.625), ('peak', 'gamma', 5, 0.6130861999737941),
    ('peak', 'gamma', 6, 0.5806443905996661), ('peak', 'gamma', 7, 0.5360971812062988), ('peak', 'gamma', 8, 0.4894583404429036);

-- The prior covariance of a group's curve, the same in every group and band.
ALTER TABLE learning_kernel ADD COLUMN group_covariance REAL NOT NULL DEFAULT 0;
UPDATE learning_kernel SET group_covariance = CASE j - k
    WHEN 0 THEN 0.0386 WHEN 1 THEN 0.03219505000259179 WHEN 2 THEN 0.019027784359955273
    WHEN 3 THEN 0.008724420622564477 WHEN 4 THEN 0.004086123303805009 WHEN 5 THEN 0.002773481955737784
    WHEN 6 THEN 0.002531906129680356 WHEN 7 THEN 0.002502518681736776 WHEN 8 THEN 0.0025001345321795125
END;

-- What the fold begins with: the state after the feedback that retention removed. created_at is that of the last.
CREATE TABLE learning_base (
    user_id TEXT PRIMARY KEY,
    created_at TEXT NOT NULL
        CONSTRAINT learning_base_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    state TEXT NOT NULL CONSTRAINT learning_base_state_json CHECK (state IS NULL OR json_valid(state)),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

-- With it, what was learned from sessions that began before this moment stays.
ALTER TABLE learning_pause ADD COLUMN keep_before TEXT
        CONSTRAINT learning_pause_keep_before_format CHECK (
            keep_before IS NULL OR (keep_before GLOB '????-??-??T??:??:??.???Z' AND julianday(keep_before) IS NOT NULL));

-- The state after every 32nd feedback, so that a change in recent feedback is folded anew from there.
CREATE TABLE learning_checkpoint (
    user_id TEXT NOT NULL,
    created_at TEXT NOT NULL
        CONSTRAINT learning_checkpoint_created_at_format CHECK (
            created_at IS NULL OR (created_at GLOB '????-??-??T??:??:??.???Z' AND julianday(created_at) IS NOT NULL)),
    feedback_id TEXT NOT NULL,
    state TEXT NOT NULL CONSTRAINT learning_checkpoint_state_json CHECK (state IS NULL OR json_valid(state)),
    PRIMARY KEY (user_id, created_at, feedback_id),
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT;

-- The state being folded. Empty between statements, and so are the two below.
CREATE TABLE learning_fold (
    user_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    folded_at TEXT NOT NULL,  -- everything up to here is in the state that the fold began with
    folded_id TEXT NOT NULL,
    moved_at TEXT,            -- the last feedback folded
    touched TEXT              -- the only band whose preferred range may have moved; NULL for any
) STRICT;

-- The one feedback being folded: SQLite triggers have no variables.
DROP TABLE learning_work;
CREATE TABLE learning_work (
    user_id TEXT PRIMARY KEY,
    feedback_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    state TEXT NOT NULL,      -- what is known before this feedback
    sens REAL NOT NULL,
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
    state_group TEXT,
    sens_after REAL,
    trans_after REAL,
    vol_after REAL,
    band TEXT,                -- NULL where the curves learn nothing; then so is all below
    low_hz REAL,
    high_hz REAL,
    u REAL,                   -- where hz stands on the grid, 0-8
    i INTEGER,                -- the grid point at or below it
    t REAL                    -- the weight of the next one
) STRICT;

-- Its curves: the band's, and the group's if it has one in the band. Lists are JSON arrays.
CREATE TABLE learning_work_curve (
    user_id TEXT NOT NULL,
    place TEXT NOT NULL,      -- bands or groups: where in the state
    curve TEXT NOT NULL,      -- under which key there
    n INTEGER NOT NULL,       -- ratings so far
    mean TEXT NOT NULL,
    covariance TEXT NOT NULL,
    home TEXT NOT NULL,       -- the mean that it fades towards
    mean_after TEXT,
    covariance_after TEXT,
    PRIMARY KEY (user_id, place)
) STRICT;
