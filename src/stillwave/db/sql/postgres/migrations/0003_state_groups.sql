-- A curve per group of states, and a base that keeps what was learned from sessions which retention removes. Values
-- come from profiles/curve.py; a test holds them equal.

-- States of one group share a curve in each of the group's bands.
CREATE TABLE learning_group (
    target_state TEXT PRIMARY KEY,
    state_group TEXT NOT NULL
);
INSERT INTO learning_group (target_state, state_group) VALUES
    ('sleep', 'sleep'), ('deep_relaxation', 'rest'), ('meditation', 'rest'),
    ('creativity', 'creativity'), ('evening_wind_down', 'evening'), ('calm_focus', 'calm'),
    ('morning_wake', 'morning'), ('alert_focus', 'alert'), ('peak_focus', 'peak');

-- The population's mean rating (0-1) for such states at grid point j. A pair that is not here has no curve of its own.
CREATE TABLE learning_group_prior (
    state_group TEXT NOT NULL,
    band TEXT NOT NULL,
    j INTEGER NOT NULL,
    mean DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (state_group, band, j)
);
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
ALTER TABLE learning_kernel ADD COLUMN group_covariance DOUBLE PRECISION NOT NULL DEFAULT 0;
UPDATE learning_kernel SET group_covariance = CASE j - k
    WHEN 0 THEN 0.0386 WHEN 1 THEN 0.03219505000259179 WHEN 2 THEN 0.019027784359955273
    WHEN 3 THEN 0.008724420622564477 WHEN 4 THEN 0.004086123303805009 WHEN 5 THEN 0.002773481955737784
    WHEN 6 THEN 0.002531906129680356 WHEN 7 THEN 0.002502518681736776 WHEN 8 THEN 0.0025001345321795125
END;

-- What the fold begins with: the state after the feedback that retention removed. created_at is that of the last.
CREATE TABLE learning_base (
    user_id UUID PRIMARY KEY,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state JSONB NOT NULL,
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- States of version 1 know no groups.
DELETE FROM learning_checkpoint;

-- People whose refolds wait: one row before a mass deletion, removed after it in the same transaction. With
-- keep_before, what was learned from sessions that began before it stays.
CREATE TABLE learning_pause (
    user_id UUID PRIMARY KEY,
    keep_before TIMESTAMP WITH TIME ZONE,
    CONSTRAINT fk_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
